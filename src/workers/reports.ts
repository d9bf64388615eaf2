import type { Subject } from './messages.ts'

/** A worker that does not answer within this time is left out, ms. */
const PATIENCE_MS = 2000

/** A worker that can be asked for its part. */
export interface Reporter {
  /** The answer comes as `reported`. */
  ask(number: number, subject: Subject): void
}

interface Collection {
  /** In the order in which they were asked. */
  readonly values: Map<Reporter, unknown>
  readonly missing: Set<Reporter>
  readonly resolve: (values: unknown[]) => void
  readonly timer: NodeJS.Timeout
}

/** Collects what all workers have to say on a subject. */
export class Reports {
  readonly #collections = new Map<number, Collection>()
  #last = 0

  /** The answers of those workers that give one in time, in the order of the workers. */
  collect(subject: Subject, workers: readonly Reporter[]): Promise<unknown[]> {
    const number = ++this.#last
    const { promise, resolve } = Promise.withResolvers<unknown[]>()
    const timer = setTimeout(() => this.#end(number), PATIENCE_MS)
    const values = new Map<Reporter, unknown>(workers.map((worker) => [worker, undefined]))
    this.#collections.set(number, { values, missing: new Set(workers), resolve, timer })
    for (const worker of workers) worker.ask(number, subject)
    return promise
  }

  reported(worker: Reporter, number: number, value: unknown): void {
    const collection = this.#collections.get(number)
    if (!collection?.missing.delete(worker)) return
    collection.values.set(worker, value)
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
    clearTimeout(collection.timer)
    collection.resolve([...collection.values.values()].filter((value) => value !== undefined))
  }
}
