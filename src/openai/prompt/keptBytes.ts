import type { Reservation } from '../../base/index.ts'

const NONE = Buffer.alloc(0)
/** Size of the first buffer, bytes. */
const FIRST_SIZE = 512

/** Bytes that come in pieces of any size, copied into one buffer that grows. It is counted by a reservation. */
export class KeptBytes {
  readonly #memory: Reservation
  /** Most bytes that are kept. */
  readonly #most: number
  #buffer: Buffer = NONE
  #size = 0

  constructor(memory: Reservation, most: number) {
    this.#memory = memory
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  /** What is kept: the first `size` bytes are valid until the next `add`. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /** Appends a piece; false, with nothing kept any more, where that is too much or there is no room for it. */
  add(piece: Buffer): boolean {
    const size = this.#size + piece.length
    if (size > this.#most || !this.#hasRoom(size)) {
      this.drop()
      return false
    }
    piece.copy(this.#buffer, this.#size)
    this.#size = size
    return true
  }

  /** Gives everything back. */
  drop(): void {
    this.#memory.shrink(this.#buffer.length)
    this.#buffer = NONE
    this.#size = 0
  }

  #hasRoom(size: number): boolean {
    const { length } = this.#buffer
    if (size <= length) return true
    const larger = Math.max(size, Math.min(2 * length, this.#most), FIRST_SIZE)
    if (this.#memory.grow(larger - length)) return false
    const buffer = Buffer.allocUnsafe(larger)
    this.#buffer.copy(buffer, 0, 0, this.#size)
    this.#buffer = buffer
    return true
  }
}
