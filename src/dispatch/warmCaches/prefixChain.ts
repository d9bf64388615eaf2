/** Characters (UTF-16 units) after which a chain has another number. */
export const PIECE_CHARACTERS = 1024

/**
 * Stands for a text and each of its beginnings: a running hash that gives a number after every 1,024 characters. Two texts have
 * the same first numbers exactly as far as they begin alike. What follows the last number is known by nothing.
 */
export class PrefixChain {
  /** 52-bit numbers; that at `i` stands for the first `(i + 1) · 1,024` characters. */
  readonly numbers: number[] = []
  #low = 0x811c9dc5
  #high = 0x1b873593
  #untilNext = PIECE_CHARACTERS

  /** Characters so far. */
  get length(): number {
    return (this.numbers.length + 1) * PIECE_CHARACTERS - this.#untilNext
  }

  /** Appends a text. */
  add(text: string): void {
    let low = this.#low
    let high = this.#high
    for (let at = 0; at < text.length;) {
      const end = Math.min(text.length, at + this.#untilNext)
      this.#untilNext -= end - at
      for (; at < end; at++) {
        const unit = text.charCodeAt(at)
        low = Math.imul(low ^ unit, 0x01000193)
        high = Math.imul(high ^ unit, 0x5bd1e995) + 0x3c6ef372
      }
      if (this.#untilNext > 0) break
      this.#untilNext = PIECE_CHARACTERS
      this.numbers.push(numberOf(low, high))
    }
    this.#low = low
    this.#high = high
  }

  /** The same so far; what is added to one is not added to the other. */
  fork(): PrefixChain {
    const copy = new PrefixChain()
    for (const number of this.numbers) copy.numbers.push(number)
    copy.#low = this.#low
    copy.#high = this.#high
    copy.#untilNext = this.#untilNext
    return copy
  }
}

/** 52 bits that a number holds exactly, of both halves of the state. */
function numberOf(low: number, high: number): number {
  return (mixed(low ^ Math.imul(high, 0x9e3779b1)) >>> 0) * 2 ** 20 + (mixed(high) >>> 12)
}

/** Spreads each bit over all (the final mix of MurmurHash3). */
function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
