/** What attacks share: names, connections, and counting. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export const HOSTILE_CONTAINER = 'hostile'
export const HOSTILE_MODEL = 'hostile-model'
/** As long as ids may be. */
export const LONG_CONTAINERS = Array.from({ length: 6 }, (_, i) => `${i}`.padEnd(256, 'c'))

/** The attacker's own address: what it does counts on it alone. */
const ADDRESS = '127.0.0.66'

export interface Target {
  readonly port: number
  /** True once the measurement is over. */
  readonly isOver: () => boolean
  readonly count: (what: string) => void
}

/** A connection that reads nothing until it is resumed. Errors end it silently. */
export function open(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress: ADDRESS, noDelay: true })
  socket.on('error', () => undefined)
  return socket.pause()
}

export function head(method: string, path: string, headers: readonly string[] = []): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: gateway', ...headers, '', ''].join('\r\n')
}

export function posted(path: string, body: string, headers: readonly string[] = []): string {
  const type = 'Content-Type: application/json'
  return head('POST', path, [type, `Content-Length: ${Buffer.byteLength(body)}`, ...headers]) + body
}

/** Sends one request on a connection of its own, reads the whole answer, and returns it; what was refused is counted by status. */
export async function ask({ port, count }: Target, request: string): Promise<string> {
  const socket = open(port)
  let received = ''
  socket.on('data', (bytes: Buffer) => {
    if (received.length < 1e6) received += bytes.toString('latin1')
  })
  socket.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  socket.resume()
  await new Promise((resolve) => socket.on('close', resolve))
  count(received.slice(9, 12) || 'closed')
  return received
}

/** Asks over and over on so many connections; after a refusal it rests for a moment, as a hammering client does. */
export async function hammer(target: Target, connections: number, request: (n: number) => string): Promise<void> {
  let sent = 0
  const run = async (): Promise<void> => {
    while (!target.isOver()) {
      const answer = await ask(target, request(sent++))
      if (!answer.startsWith('HTTP/1.1 200')) await sleep(20)
    }
  }
  await Promise.all(Array.from({ length: connections }, run))
}
