/**
 * A short way for benchmarks: a connection that brings nothing but whole, plain `POST /api/jobs` requests is served
 * from its bytes, without the HTTP server. Anything else hands the connection on to it, for good.
 */
import type { Connection } from '../fakeServer/exchange.ts'
import { plainAddress } from '../fakeServer/serverCore.ts'
import { httpDate } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Rules } from './endpoints.ts'
import type { Verdict } from './rateLimit.ts'

const REQUEST_LINE = 'POST /api/jobs HTTP/1.1\r\n'

/** `mayServe` is asked before each request, and counts it. */
export function fastPath(rules: Rules, mayServe: () => boolean): (connection: Connection, handOn: () => void) => void {
  return ({ socket }, handOn) => {
    const ip = plainAddress(socket.remoteAddress)
    const leave = (): void => void socket.destroy()
    socket.on('timeout', leave)
    const take = (bytes: Buffer): void => {
      let rest = bytes
      while (rest.length > 0) {
        const request = wholeRequest(rest)
        if (!request || !mayServe()) {
          socket.off('data', take).off('timeout', leave).off('end', leave)
          socket.unshift(rest)
          return handOn()
        }
        socket.write(served(rules, ip, request), 'latin1')
        rest = rest.subarray(request.end)
      }
    }
    socket.on('data', take).on('end', leave)
  }
}

interface WholeRequest {
  contentType: string | undefined
  forwardedFor: string | undefined
  body: Buffer
  end: number
}

/** The request at the start of the bytes, if it is whole, of the plain kind, and to be answered on the same connection. */
function wholeRequest(bytes: Buffer): WholeRequest | undefined {
  const text = bytes.toString('latin1')
  if (!text.startsWith(REQUEST_LINE)) return undefined
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  let length: number | undefined
  let contentType: string | undefined
  let forwardedFor: string | undefined
  for (let at = REQUEST_LINE.length; at < headEnd + 2;) {
    const lineEnd = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    const nameLength = colon - at
    // Only names of these lengths matter: reading them all would cost more than the rest.
    if (nameLength === 10 || nameLength === 12 || nameLength === 14 || nameLength === 15 || nameLength === 17) {
      const name = text.slice(at, colon).toLowerCase()
      const value = text.slice(colon + 1, lineEnd).trim()
      if (name === 'content-length') length = Number(value)
      else if (name === 'content-type') contentType ??= value
      else if (name === 'x-forwarded-for') forwardedFor ??= value
      else if (name === 'transfer-encoding') return undefined
      else if (name === 'connection' && value.toLowerCase() === 'close') return undefined
    } else if (nameLength === 6 && text.slice(at, colon).toLowerCase() === 'expect') return undefined
    at = lineEnd + 2
  }
  const end = headEnd + 4 + (length ?? NaN)
  if (!(end <= bytes.length)) return undefined
  return { contentType, forwardedFor, body: bytes.subarray(headEnd + 4, end), end }
}

function served(rules: Rules, ip: string, { contentType, forwardedFor, body }: WholeRequest): string {
  const incoming = { method: 'POST', path: '/api/jobs', query: '', ip, forwardedFor, contentType, body }
  const verdict = rules.verdict('submit', incoming)
  return written(rules.answer('submit', incoming, verdict) as Answer, verdict)
}

function written({ status, contentType, headers = [], body }: Answer, verdict: Verdict | undefined): string {
  let head = `HTTP/1.1 ${status} \r\ncontent-type: ${contentType}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  head += `content-length: ${body.length}\r\n`
  if (verdict) {
    const { limit, remaining, reset } = verdict
    head += `ratelimit-limit: ${limit}\r\nratelimit-remaining: ${remaining}\r\nratelimit-reset: ${reset}\r\n`
  }
  return `${head}date: ${httpDate()}\r\nserver: hypercorn-h11\r\n\r\n${body}`
}
