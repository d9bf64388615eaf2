import { limitKeyOf } from '../../base/limitKey.ts'
import { LargestFirst } from './largestFirst.ts'
import { OldestFirst } from './oldestFirst.ts'

interface Share {
  bytes: number
  readonly finished: OldestFirst<string>
  readonly answers: OldestFirst<string>
}

/** What can go to make room: a finished job or an answer, by its key. */
export type Removable = { readonly job: string } | { readonly answer: string }

/** What each caller keeps in memory; callers of one IPv6 network count as one, as with limits. */
export class MemoryShares {
  readonly #shares = new Map<string, Share>()
  /** Those with something to remove. */
  readonly #order = new LargestFirst()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  count(caller: string, bytes: number): void {
    this.#bytes += bytes
    this.#update(caller, (share) => (share.bytes += bytes))
  }

  addFinished(caller: string, id: string): void {
    this.#update(caller, ({ finished }) => finished.add(id))
  }

  removeFinished(caller: string, id: string): void {
    this.#update(caller, ({ finished }) => finished.delete(id))
  }

  addAnswer(caller: string, key: string): void {
    this.#update(caller, ({ answers }) => answers.add(key))
  }

  removeAnswer(caller: string, key: string): void {
    this.#update(caller, ({ answers }) => answers.delete(key))
  }

  /** What goes next: of the caller who keeps most the job that ended first, or where there is none its oldest answer. */
  get next(): Removable | undefined {
    const { largest } = this.#order
    if (largest === undefined) return undefined
    const { finished, answers } = this.#shares.get(largest)!
    const job = finished.oldest
    return job !== undefined ? { job } : { answer: answers.oldest! }
  }

  #update(caller: string, change: (share: Share) => void): void {
    const key = limitKeyOf(caller)
    let share = this.#shares.get(key)
    if (!share) {
      share = { bytes: 0, finished: new OldestFirst(), answers: new OldestFirst() }
      this.#shares.set(key, share)
    }
    change(share)
    const hasRemovable = share.finished.count + share.answers.count > 0
    if (hasRemovable) this.#order.set(key, share.bytes)
    else this.#order.delete(key)
    if (!hasRemovable && share.bytes === 0) this.#shares.delete(key)
  }
}
