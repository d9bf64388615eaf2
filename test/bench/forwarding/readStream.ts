import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { stampMs } from './stamp.ts'

/** A stream of stamped pieces, read as they come. */
export class ReadStream {
  /** Between the writing of a piece at its node and its arrival here, ms. */
  readonly delaysMs: number[] = []
  readonly #response: IncomingMessage
  #lastPieceAtMs = stampMs()

  private constructor(response: IncomingMessage) {
    this.#response = response
    response.on('data', (piece: Buffer) => this.#read(piece))
    response.on('error', () => undefined)
  }

  /** Resolves when the head of the answer is there. */
  static async open(url: string, body: string): Promise<ReadStream> {
    const asking = request(url, { method: 'POST', agent: false, headers: { 'content-type': 'application/json' } })
    asking.end(body)
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    asking.on('error', () => undefined)
    if (response.statusCode !== 200) throw new Error(`a stream was answered with ${response.statusCode}`)
    return new ReadStream(response)
  }

  isAlive(silentMs: number): boolean {
    return !this.#response.destroyed && stampMs() - this.#lastPieceAtMs < silentMs
  }

  forgetDelays(): void {
    this.delaysMs.length = 0
  }

  leave(): void {
    this.#response.destroy()
  }

  /** The id line bears no stamp. */
  #read(piece: Buffer): void {
    const nowMs = stampMs()
    this.#lastPieceAtMs = nowMs
    const stamp = /^(\d+\.\d+) /.exec(piece.toString('latin1'))?.[1]
    if (stamp !== undefined) this.delaysMs.push(nowMs - Number(stamp))
  }
}
