import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { postRequest } from '../client/requests.ts'
import { stampMs } from '../stamp.ts'
import { AT, chatBody } from './protocol.ts'

/** Longest that an event, and the frame around it, may reach beyond the piece in which it began, characters. */
const MOST_UNREAD = 1000

/** Streams of stamped events, read from bare sockets as they come. */
export class EventStreams {
  /** Between the writing of an event at the service and its arrival here, ms. */
  delaysMs: number[] = []
  #broken = 0
  #isLeaving = false
  readonly #sockets: Socket[] = []

  /** Resolves when all are connected. */
  static async open(url: string, count: number): Promise<EventStreams> {
    const streams = new EventStreams()
    for (let i = 0; i < count; i++) await streams.#open(new URL(url))
    return streams
  }

  /** Streams that ended or broke by themselves. */
  get broken(): number {
    return this.#broken
  }

  async leave(): Promise<void> {
    this.#isLeaving = true
    const open = this.#sockets.filter((socket) => !socket.closed)
    await Promise.all(
      open.map((socket) => {
        socket.destroy()
        return once(socket, 'close')
      }),
    )
  }

  async #open(url: URL): Promise<void> {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    this.#sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (!this.#isLeaving) this.#broken++
    })
    let unread = ''
    socket.on('data', (piece) => {
      const nowMs = stampMs()
      const text = unread + piece.toString('latin1')
      let end = 0
      for (const match of text.matchAll(AT)) {
        this.delaysMs.push(nowMs - Number(match[1]))
        end = match.index + match[0].length
      }
      unread = text.slice(end).slice(-MOST_UNREAD)
    })
    await once(socket, 'connect')
    socket.write(postRequest(url.href, chatBody(true)))
  }
}
