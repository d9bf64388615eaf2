import { seededRandom } from '../kit/routingSimulation/random.ts'

/** Choices that are the same for the same seed. */
export class Chance {
  readonly #random: () => number

  /** Every pair of numbers gives a stream of its own. */
  constructor(seed: number, stream: number) {
    this.#random = seededRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0)
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.#random() * n)
  }

  /** True with this probability. */
  happens(probability: number): boolean {
    return this.#random() < probability
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }

  /** Visible ASCII. */
  word(length: number): string {
    return Array.from({ length }, () => String.fromCharCode(33 + this.below(94))).join('')
  }
}
