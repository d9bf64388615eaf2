import type { Subject } from './messages.ts'

/** A worker that does not answer within this time is not waited for, ms. */
const PATIENCE_MS = 2000

/** A worker that can be asked for its part. */
export interface Reporter {
  /** The answer comes as `reported`. */
  ask(number: number, subject: Subject): void
}

/** What workers have to say, in the order in which they were asked. */
export interface Answers {
  /** Of one that does not answer, what it said last. */
  readonly values: readonly unknown[]
  /** How many have answered now. */
  readonly answered: number
}

interface Collection {
  readonly subject: Subject
  /** In the order in which they were asked. */
  readonly values: Map<Reporter, unknown>
  readonly missing: Set<Reporter>
  readonly resolve: (answers: Answers) => void
  readonly timer: NodeJS.Timeout
}

/** Collects what all workers have to say on a subject. */
export class Reports {
  readonly #collections = new Map<number, Collection>()
  readonly #latest: Readonly<Record<Subject, WeakMap<Reporter, unknown>>> = {
    metrics: new WeakMap(),
    stats: new WeakMap(),
    usage: new WeakMap(),
  }
  #lastNumber = 0

  /** A worker that hangs neither holds this up nor takes back what it has counted. */
  collect(subject: Subject, workers: readonly Reporter[]): Promise<Answers> {
    const number = ++this.#lastNumber
    const { promise, resolve } = Promise.withResolvers<Answers>()
    const timer = setTimeout(() => this.#end(number), PATIENCE_MS)
    const values = new Map<Reporter, unknown>(workers.map((worker) => [worker, undefined]))
    this.#collections.set(number, { subject, values, missing: new Set(workers), resolve, timer })
    for (const worker of workers) worker.ask(number, subject)
    return promise
  }

  reported(worker: Reporter, number: number, value: unknown): void {
    const collection = this.#collections.get(number)
    if (!collection?.missing.delete(worker)) return
    collection.values.set(worker, value)
    this.#latest[collection.subject].set(worker, value)
    if (collection.missing.size === 0) this.#end(number)
  }

  /** A worker has ended: its answers are not waited for. */
  ended(worker: Reporter): void {
    for (const [number, { missing }] of this.#collections) {
      if (missing.delete(worker) && missing.size === 0) this.#end(number)
    }
  }

  #end(number: number): void {
    const collection = this.#collections.get(number)
    if (!collection) return
    this.#collections.delete(number)
    const { subject, values, missing, resolve, timer } = collection
    clearTimeout(timer)
    const answered = [...values.values()].filter((value) => value !== undefined).length
    for (const worker of missing) values.set(worker, this.#latest[subject].get(worker))
    resolve({ values: [...values.values()].filter((value) => value !== undefined), answered })
  }
}
