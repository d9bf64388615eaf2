/** A node that a test answers for byte by byte, over bare TCP. */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { infoText } from '../kit/builders/infos.ts'
import { freePort } from '../kit/wait.ts'
import type { Cleanup } from '../kit/wait.ts'

/** Answers one POST, or not. */
export type WireAnswer = (socket: Socket, body: string) => void

export interface WireNode {
  readonly address: string
  /** Bodies of all POSTs so far. */
  readonly posts: readonly string[]
  /** How POSTs are answered from now on. */
  answers(answer: WireAnswer): void
}

/** A whole answer with this body. */
export function answerOf(body: string, head = 'HTTP/1.1 200 OK'): string {
  return `${head}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** Starts a node that is healthy, runs the container `echo`, has `small-model`, and is closed after the test. */
export async function startWireNode(t: Cleanup): Promise<WireNode> {
  const posts: string[] = []
  let answer: WireAnswer = (socket) => socket.write(answerOf('{"id":"never"}'))
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    let received = ''
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      for (;;) {
        const end = received.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = received.slice(0, end)
        const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
        if (received.length < end + 4 + length) return
        const body = received.slice(end + 4, end + 4 + length)
        received = received.slice(end + 4 + length)
        if (head.startsWith('POST')) {
          posts.push(body)
          answer(socket, body)
        } else if (head.startsWith('GET /info')) socket.write(answerOf(infoText()))
        else if (head.startsWith('GET /v1/models')) socket.write(answerOf('{"data":[{"id":"small-model"}]}'))
        else socket.write(answerOf('[]'))
      }
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { address: `127.0.0.1:${port}`, posts, answers: (given) => void (answer = given) }
}

/** Writes a text one byte at a time. */
export function drip(socket: Socket, text: string, everyMs: number): void {
  let at = 0
  const timer = setInterval(() => {
    if (at < text.length) socket.write(text[at++] ?? '')
    else clearInterval(timer)
  }, everyMs)
  socket.on('close', () => clearInterval(timer))
}
