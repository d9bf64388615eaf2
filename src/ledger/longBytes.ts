/** Reads one piece, counted from 0; `undefined` where it is not kept any more. */
export type ReadPiece = (index: number) => Promise<Buffer | undefined>

/** Bytes of a ledger that are too long to be in memory at once. */
export class LongBytes {
  readonly length: number
  readonly #read: ReadPiece
  readonly #gone: () => Error

  /** `gone` makes the error of a result that was removed while it was read. */
  constructor(length: number, read: ReadPiece, gone: () => Error) {
    this.length = length
    this.#read = read
    this.#gone = gone
  }

  /** One piece, counted from 0; `undefined` where it is not kept any more. */
  piece(index: number): Promise<Buffer | undefined> {
    return this.#read(index)
  }

  /** The pieces in order, each read when it is asked for. Throws where the result is removed meanwhile. */
  async *pieces(): AsyncGenerator<Buffer, void> {
    for (let index = 0, left = this.length; left > 0; index++) {
      const piece = await this.#read(index)
      if (!piece || piece.length === 0 || piece.length > left) throw this.#gone()
      left -= piece.length
      yield piece
    }
  }
}
