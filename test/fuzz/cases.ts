/** One case: the bytes of one connection, how they are sent, and how many answers they may get. */
import { deflateSync, gzipSync } from 'node:zlib'
import { mutate } from './bodies.ts'
import { Chance } from './chance.ts'
import { methodFor, pathFor, SEEDS } from './seeds.ts'

/** How the client ends its side. */
type Leaving = 'waits' | 'half-closes' | 'closes' | 'resets'

export interface FuzzCase {
  readonly number: number
  /** Written one after the other, each a packet of its own. */
  readonly packets: readonly Buffer[]
  /** The methods in order of the requests; what a HEAD gets has no body. */
  readonly methods: readonly string[]
  /**
   * True where every request is framed as HTTP wants it: each gets exactly one answer, whatever is in it. Otherwise the
   * requests get at most one each, and one more for what cannot be read.
   */
  readonly isSound: boolean
  readonly leaving: Leaving
  /** After how many bytes of an answer, or ms without any, it leaves, where it does not wait. */
  readonly leavesAfterBytes: number
  readonly leavesAfterMs: number
  /** Last part of the client's loopback address. */
  readonly caller: number
}

const ODD_HEADERS: readonly string[] = [
  ...[
    'Connection: keep-alive, X-Odd',
    'Connection: close',
    `Connection: ${'a,'.repeat(200)}b`,
    'Keep-Alive: timeout=1',
  ],
  ...[
    'X-Forwarded-For: 1.2.3.4',
    'X-Forwarded-For: unknown, ::1',
    'Via: 1.1 other',
    'X-Request-Id: fine-1',
    'X-Request-Id: ü',
  ],
  ...['Idempotency-Key: key-1', 'Idempotency-Key: ', `Idempotency-Key: ${'k'.repeat(300)}`, 'X-Infernet-Cost: 2'],
  ...['X-Infernet-Cost: -1', 'X-Infernet-Cost: 1e999', 'X-Infernet-Failover: off', 'X-Infernet-Failover: perhaps'],
  ...['Authorization: Bearer x', 'Authorization: Basic eDp5', 'X-Api-Key: y', 'Cookie: a=b', 'X_Under_Score: 1'],
  ...['Origin: https://evil.example', 'Origin: null', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: same-origin'],
  ...[
    'Accept: text/html',
    'Accept-Encoding: gzip',
    'Prefer: wait=1',
    'Prefer: wait=x',
    'TE: trailers',
    'Upgrade: websocket',
  ],
  ...[
    'Content-Type: text/plain',
    'Content-Type: multipart/form-data; boundary=edge',
    'Content-Type: multipart/form-data',
  ],
  ...['Content-Encoding: gzip', 'Content-Encoding: br', 'Range: bytes=0-1', 'If-None-Match: *', 'traceparent: 00-x'],
  ...[
    'Access-Control-Request-Method: POST',
    'X-Priority: low',
    `X-Long: ${'l'.repeat(8000)}`,
    'X-Empty:',
    'X-Latin: \xe9',
  ],
  ...[
    '__proto__: 1',
    'constructor: 2',
    'Trailer: X-Odd',
    'Max-Forwards: 0',
    'Prefer: respond-async',
    'x-session-id: s',
  ],
]

/** The same case for the same seed and number. */
export function createCase(seed: number, number: number): FuzzCase {
  const chance = new Chance(seed, number)
  const count = chance.happens(0.15) ? 2 + chance.below(3) : 1
  const requests = Array.from({ length: count }, (_, i) => request(chance, number, i === count - 1))
  let bytes: Buffer = Buffer.concat(requests.map((one) => one.bytes))
  const isSound = chance.happens(0.75)
  if (!isSound) bytes = spoiled(bytes, chance)
  const leaving = leavingOf(chance)
  return {
    number,
    packets: packetsOf(bytes, chance),
    methods: requests.map(({ method }) => method),
    isSound,
    leaving,
    leavesAfterBytes: chance.below(400),
    leavesAfterMs: chance.below(60),
    caller: 2 + chance.below(60),
  }
}

function leavingOf(chance: Chance): Leaving {
  if (chance.happens(0.8)) return 'waits'
  return chance.of(['half-closes', 'closes', 'resets'])
}

/** One request, well framed. The last of a connection asks for its close, so that the end can be seen. */
function request(chance: Chance, number: number, isLast: boolean): { method: string; bytes: Buffer } {
  const seed = chance.of(SEEDS)
  const method = methodFor(seed, chance)
  const path = pathFor(seed, chance)
  let body: Buffer | undefined = seed.body === undefined ? undefined : Buffer.from(seed.body)
  if (seed.body !== undefined && chance.happens(0.5)) body = mutate(seed.body, chance)
  if (seed.body === undefined && chance.happens(0.05)) body = chance.bytes(chance.below(100))
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: gateway', `X-Fuzz: ${number}`]
  if (isLast) lines.push('Connection: close')
  if (body && seed.body !== undefined && chance.happens(0.9)) {
    lines.push(`Content-Type: ${seed.contentType ?? 'application/json'}`)
  }
  for (let odd = chance.happens(0.5) ? chance.below(4) : 0; odd > 0; odd--) lines.push(chance.of(ODD_HEADERS))
  if (body && chance.happens(0.04)) {
    body = chance.happens(0.5) ? gzipSync(body) : deflateSync(body)
    lines.push('Content-Encoding: gzip')
  }
  return { method, bytes: framed(lines, body, chance) }
}

function framed(lines: string[], body: Buffer | undefined, chance: Chance): Buffer {
  if (!body) return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  if (chance.happens(0.8)) {
    lines.push(`Content-Length: ${body.length}`)
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
  }
  lines.push('Transfer-Encoding: chunked')
  const pieces: Buffer[] = [Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')]
  for (let at = 0; at < body.length;) {
    const piece = body.subarray(at, (at += 1 + chance.below(Math.max(1, body.length))))
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
  }
  pieces.push(Buffer.from('0\r\n\r\n'))
  return Buffer.concat(pieces)
}

const BREAKERS = [
  ...['Content-Length: 5', 'Content-Length: 99999', 'Content-Length: -1', 'Transfer-Encoding: chunked', 'Host: other'],
  ...[
    'Transfer-Encoding: gzip, chunked',
    'Expect: 100-continue',
    'Expect: 200-ok',
    ' folded: x',
    'No colon',
    'Bad Name: x',
  ],
  ...['Content-Length: 0x10', 'Host:', 'Transfer-Encoding : chunked', 'X: \0', `X-Big: ${'b'.repeat(70_000)}`],
]

/** The framing itself is hurt: headers that contradict each other, bytes put in, taken out or turned, ends cut off. */
function spoiled(bytes: Buffer, chance: Chance): Buffer {
  const at = chance.below(bytes.length)
  switch (chance.below(6)) {
    case 0:
    case 1: {
      const text = bytes.toString('latin1')
      const end = text.indexOf('\r\n') + 2
      return Buffer.from(`${text.slice(0, end)}${chance.of(BREAKERS)}\r\n${text.slice(end)}`, 'latin1')
    }
    case 2:
      return Buffer.concat([bytes.subarray(0, at), chance.bytes(1 + chance.below(3)), bytes.subarray(at + 1)])
    case 3:
      return bytes.subarray(0, at)
    case 4:
      return Buffer.concat([bytes, chance.happens(0.5) ? Buffer.from('x') : chance.bytes(1 + chance.below(50))])
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + chance.below(4))])
  }
}

function packetsOf(bytes: Buffer, chance: Chance): Buffer[] {
  if (chance.happens(0.7)) return [bytes]
  const cuts = Array.from({ length: 1 + chance.below(4) }, () => chance.below(bytes.length)).sort((a, b) => a - b)
  return [0, ...cuts].map((cut, i) => bytes.subarray(cut, cuts[i] ?? bytes.length)).filter((piece) => piece.length > 0)
}
