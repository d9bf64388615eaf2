/** A server on bare sockets: it reads requests as HTTP, and lets its user write whatever bytes it likes. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Cleanup } from '../kit/wait.ts'

export interface RawRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Latin-1. */
  readonly body: string
}

/** Returns the port. `answer` gets each request in order and must not be called again before it is done. */
export async function startRawServer(
  t: Cleanup,
  answer: (request: RawRequest, socket: Socket) => Promise<void>,
): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, answer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

function serve(socket: Socket, answer: (request: RawRequest, socket: Socket) => Promise<void>): void {
  let unread = ''
  let isBusy = false
  const next = async (): Promise<void> => {
    if (isBusy) return
    isBusy = true
    for (let read = readRequest(unread); read; read = readRequest(unread)) {
      unread = unread.slice(read.length)
      await answer(read.request, socket)
    }
    isBusy = false
  }
  socket.on('data', (bytes: Buffer) => {
    unread += bytes.toString('latin1')
    void next()
  })
}

/** The first whole request of the text, and how long it is. */
function readRequest(text: string): { request: RawRequest; length: number } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...fields] = text.slice(0, end).split('\r\n')
  const [method = '', url = ''] = line.split(' ')
  const headers = new Map<string, string>()
  for (const field of fields) {
    const colon = field.indexOf(':')
    headers.set(field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim())
  }
  const body = headers.has('transfer-encoding')
    ? chunked(text, end + 4)
    : plain(text, end + 4, Number(headers.get('content-length') ?? 0))
  return body && { request: { method, url, headers, body: body.body }, length: body.end }
}

function plain(text: string, start: number, length: number): { body: string; end: number } | undefined {
  const end = start + length
  return text.length < end ? undefined : { body: text.slice(start, end), end }
}

function chunked(text: string, start: number): { body: string; end: number } | undefined {
  let body = ''
  for (let at = start; ;) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return undefined
    const size = parseInt(text.slice(at, line), 16)
    const next = line + 2 + size + 2
    if (text.length < next) return undefined
    if (size === 0) return { body, end: next }
    body += text.slice(line + 2, line + 2 + size)
    at = next
  }
}
