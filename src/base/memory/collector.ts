/** First and largest block that short pieces are copied into, bytes. */
const FIRST_BLOCK = 16 * 1024
const LARGEST_BLOCK = 1024 * 1024

/**
 * Puts together bytes that arrive in pieces. Pieces are copied: each piece kept as an object of its own costs a hundred bytes
 * or more, and keeps all of the read buffer alive that it is a part of, so a sender of single bytes would fill the memory.
 */
export class Collector {
  size = 0
  /** The only piece so far. What comes in one piece, as most does, is never copied. */
  #only: Buffer | undefined
  /** Full blocks. */
  #blocks: Buffer[] = []
  #block: Buffer | undefined
  #filled = 0
  readonly #expectedBytes: number

  /** `expectedBytes`: the announced length, or 0; a block of that size takes no memory before bytes are written into it. */
  constructor(expectedBytes: number) {
    this.#expectedBytes = expectedBytes
  }

  push(piece: Buffer): void {
    if (this.size === 0) this.#only = piece
    else {
      if (this.#only) this.#copy(this.#only)
      this.#only = undefined
      this.#copy(piece)
    }
    this.size += piece.length
  }

  /** All bytes as one. */
  take(): Buffer {
    if (this.#only) return this.#only
    if (!this.#block) return Buffer.alloc(0)
    const last = this.#block.subarray(0, this.#filled)
    // Both copies exist only within this turn of the event loop, so that there is never more than one such pair.
    return this.#blocks.length === 0 ? last : Buffer.concat([...this.#blocks, last], this.size)
  }

  /** Forgets what has come. */
  drop(): void {
    this.#only = undefined
    this.#blocks = []
    this.#block = undefined
    this.#filled = 0
    this.size = 0
  }

  /**
   * Gives the memory back now, not when the garbage collector comes by: senders that leave again and again would else take a
   * multiple of the budget. Whatever `take` returned of it is gone too.
   */
  free(): void {
    for (const block of this.#blocks) release(block)
    if (this.#block) release(this.#block)
    this.drop()
  }

  #copy(piece: Buffer): void {
    let from = 0
    while (from < piece.length) {
      const block = this.#blockWithRoom()
      const copied = piece.copy(block, this.#filled, from)
      this.#filled += copied
      from += copied
    }
  }

  #blockWithRoom(): Buffer {
    const block = this.#block
    if (block && this.#filled < block.length) return block
    if (block) this.#blocks.push(block)
    const size = block ? nextSize(block.length) : this.#expectedBytes || FIRST_BLOCK
    this.#filled = 0
    return (this.#block = Buffer.allocUnsafeSlow(size))
  }
}

/** A block has an `ArrayBuffer` of its own, whose memory moves to one of no bytes. */
function release(block: Buffer): void {
  ;(block.buffer as ArrayBuffer).transfer(0)
}

function nextSize(lastSize: number): number {
  return Math.min(Math.max(2 * lastSize, FIRST_BLOCK), LARGEST_BLOCK)
}
