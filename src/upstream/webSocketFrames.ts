/** The code of a close frame by which an end says that it goes away (RFC 6455, 7.4.1). */
const GOING_AWAY = 1001
const FIN_CLOSE = 0x88
const MASKED = 0x80
/** A length of a frame that stands in the next two or eight bytes. */
const LENGTH_16 = 126
const LENGTH_64 = 127

/** Follows the frames of one direction of a WebSocket (RFC 6455, 5.2), to know whether a frame of our own may come next. */
export class FrameWalk {
  /** Bytes of the frame's payload that are still to come. */
  #payload = 0
  /** The frame's head, as far as it is there. */
  #head: number[] = []

  /** Whether all frames so far are whole. */
  get isBetweenFrames(): boolean {
    return this.#payload === 0 && this.#head.length === 0
  }

  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#payload > 0) {
        const length = Math.min(this.#payload, chunk.length - at)
        this.#payload -= length
        at += length
        continue
      }
      this.#head.push(chunk[at++] as number)
      if (this.#head.length < headLength(this.#head)) continue
      this.#payload = payloadLength(this.#head)
      this.#head = []
    }
  }
}

/** A close frame that says "going away"; a client's has a mask, here one that changes nothing. */
export function goingAway({ masked }: { readonly masked: boolean }): Buffer {
  const mask = masked ? [0, 0, 0, 0] : []
  return Buffer.from([FIN_CLOSE, (masked ? MASKED : 0) | 2, ...mask, GOING_AWAY >> 8, GOING_AWAY & 0xff])
}

function headLength([, second]: readonly number[]): number {
  if (second === undefined) return 2
  const length = second & 0x7f
  return 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0) + (second & MASKED ? 4 : 0)
}

function payloadLength(head: readonly number[]): number {
  const length = (head[1] as number) & 0x7f
  const extra = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0
  if (extra === 0) return length
  return head.slice(2, 2 + extra).reduce((sum, byte) => sum * 256 + byte, 0)
}
