import { BLOCK_TOKENS, TOKEN_CHARACTERS } from './options.ts'

const BLOCK_CHARACTERS = BLOCK_TOKENS * TOKEN_CHARACTERS

/** A text as an engine caches it: one number for each full block of 16 tokens, which stands for the text up to its end. */
export class BlockChain {
  readonly blocks: number[] = []
  #characters = 0
  #low = 0x2545f491
  #high = 0x6c8e9cf5

  get tokens(): number {
    return Math.ceil(this.#characters / TOKEN_CHARACTERS)
  }

  add(text: string): void {
    let [low, high] = [this.#low, this.#high]
    let left = BLOCK_CHARACTERS - (this.#characters % BLOCK_CHARACTERS)
    this.#characters += text.length
    for (let at = 0; at < text.length;) {
      const end = Math.min(text.length, at + left)
      left -= end - at
      for (; at < end; at++) {
        const unit = text.charCodeAt(at)
        low = Math.imul(low + unit, 0x01000193) ^ (low >>> 15)
        high = Math.imul(high ^ unit, 0x85ebca6b) + 0x165667b1
      }
      if (left > 0) break
      left = BLOCK_CHARACTERS
      const mixed = Math.imul(high ^ (high >>> 13) ^ low, 0xc2b2ae35)
      this.blocks.push((low >>> 0) * 2 ** 20 + ((mixed ^ (mixed >>> 16)) >>> 12))
    }
    this.#low = low
    this.#high = high
  }
}
