import { fitsQuery, LOOKED_AT, numberIn } from '../browse.ts'
import type { JobRecord, JobsPage, JobsQuery } from '../ledger.ts'

/** Ids in the order in which they came. Those that are gone are left out when there are too many of them. */
export class Arrivals {
  /** By their numbers, which grow. */
  #ids: { readonly number: number; readonly id: string }[] = []
  #last = 0

  add(id: string): void {
    this.#ids.push({ number: ++this.#last, id })
  }

  /** To be called now and then: forgets ids that are gone, where they are as many as the others. */
  tidy(has: (id: string) => boolean, size: number): void {
    if (this.#ids.length > 2 * size + 1000) this.#ids = this.#ids.filter(({ id }) => has(id))
  }

  /** A page of jobs, whose records `recordOf` gives while they are there. */
  browse(query: JobsQuery, recordOf: (id: string) => JobRecord | undefined): JobsPage {
    const jobs: JobRecord[] = []
    const start = this.#positionOf(numberIn(query.after))
    for (let at = start - 1; at >= 0; at--) {
      const { number, id } = this.#ids[at]!
      const record = recordOf(id)
      if (record && fitsQuery(record, query)) jobs.push(record)
      if (jobs.length >= query.limit || start - at >= LOOKED_AT) return { jobs, next: String(number) }
    }
    return { jobs, next: undefined }
  }

  /** How many have a number below this one. */
  #positionOf(number: number): number {
    let [low, high] = [0, this.#ids.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ids[middle]!.number < number) low = middle + 1
      else high = middle
    }
    return low
  }
}
