/** A moment of the service that jobs get, so that what a job had since can be taken back. */
export interface ServedMark {
  readonly of: ServedSeconds
  readonly ofOne: number
  readonly logScale: number
}

/** Seconds of service that jobs on a node have had, of which older ones count less and less. */
export class ServedSeconds {
  #sum = 0
  /** What one job of ours that has been here from the beginning would have had of it. */
  #ofOne = 0
  /** The logarithm of what a second of the beginning counts by now. */
  #logScale = 0

  get sum(): number {
    return this.#sum
  }

  /** Each of so many jobs of ours was served for so long. */
  add(seconds: number, jobs: number): void {
    this.#ofOne += seconds
    this.#sum += seconds * jobs
  }

  /** Jobs that are not ours were served for so long in all. */
  addOthers(seconds: number): void {
    this.#sum += seconds
  }

  mark(): ServedMark {
    return { of: this, ofOne: this.#ofOne, logScale: this.#logScale }
  }

  /** How much of the sum came in since the mark for one job, as much as it still counts. */
  since({ of, ofOne, logScale }: ServedMark): number {
    return of === this ? this.#ofOne - ofOne * Math.exp(this.#logScale - logScale) : this.#ofOne
  }

  /** Some of it was no service after all; returns how much was taken off, which is never more than there is. */
  takeBack(seconds: number): number {
    const taken = Math.min(seconds, this.#sum)
    this.#sum -= taken
    return taken
  }

  /** All of it counts so many times as much from now on. */
  rescale(ratio: number): void {
    this.#sum *= ratio
    this.#ofOne *= ratio
    this.#logScale += Math.log(ratio)
  }

  halve(): void {
    this.rescale(0.5)
  }
}
