import { TOKEN_CHARACTERS } from '../../kit/fakeEngine/index.ts'
import { exponential, seeded } from '../routing/random.ts'

/** A range from which every value is as likely as any other. */
export type Range = readonly [least: number, most: number]

/** Words that texts are cut from; longer than any text. */
const WORDS = wordsOf(400_000)

/** Random sizes and texts, the same for the same seed. */
export class Draw {
  readonly #random: () => number
  #texts = 0

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  /** In [0, 1). */
  next(): number {
    return this.#random()
  }

  whole([least, most]: Range): number {
    return least + Math.floor(this.#random() * (most - least + 1))
  }

  exponential(mean: number): number {
    return exponential(this.#random, mean)
  }

  /** One of `count`, the i-th with a weight of `i ** -skew`. */
  popular(count: number, skew: number): number {
    // The inverse of the integral, which is close enough to the sum.
    const top = (count + 1) ** (1 - skew) - 1
    return Math.min(count - 1, Math.floor((1 + this.#random() * top) ** (1 / (1 - skew))) - 1)
  }

  /** A text like no other from its beginning on. */
  text(tokens: number): string {
    const tag = `${(this.#texts++).toString(36)}.${Math.floor(this.#random() * 2 ** 30).toString(36)} `
    const characters = Math.max(0, tokens * TOKEN_CHARACTERS - tag.length)
    const from = Math.floor(this.#random() * (WORDS.length - characters))
    return tag + WORDS.slice(from, from + characters)
  }
}

function wordsOf(characters: number): string {
  const random = seeded(97)
  const words: string[] = []
  for (let length = 0; length < characters;) {
    const word = Math.floor(random() * 36 ** 5).toString(36)
    words.push(word)
    length += word.length + 1
  }
  return words.join(' ')
}
