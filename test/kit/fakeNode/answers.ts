/** Answers as hypercorn writes them: no reason phrase, lower-case header names, no keep-alive headers. */
import type { ServerResponse } from 'node:http'
import type { Verdict } from './rateLimit.ts'

export interface AnswerHead {
  status: number
  contentType: string
  /** Further headers, name after value, as node:http takes them raw. */
  headers?: readonly string[]
}

export interface Answer extends AnswerHead {
  /** latin1: one character a byte. */
  body: string
}

export function json(status: number, body: string): Answer {
  return { status, contentType: 'application/json', body: `${body}\n` }
}

export function htmlError(status: number, title: string, words: string, headers?: readonly string[]): Answer {
  const body =
    `<!doctype html>\n<html lang=en>\n<title>${status} ${title}</title>\n` + `<h1>${title}</h1>\n<p>${words}</p>\n`
  return { status, contentType: 'text/html; charset=utf-8', body, ...(headers ? { headers } : {}) }
}

export const notFound = (): Answer =>
  htmlError(
    404,
    'Not Found',
    'The requested URL was not found on the server. ' +
      'If you entered the URL manually please check your spelling and try again.',
  )

export const wrongMethod = (allow: string): Answer =>
  htmlError(405, 'Method Not Allowed', 'The method is not allowed for the requested URL.', ['allow', allow])

export const tooManyRequests = (retryAfter: number): Answer =>
  htmlError(429, 'Too Many Requests', 'This user has exceeded an allotted request count. Try again later.', [
    'retry-after',
    String(retryAfter),
  ])

export const options = (allow: string): Answer => ({
  status: 200,
  contentType: 'text/html; charset=utf-8',
  headers: ['allow', allow],
  body: '',
})

/** The whole head of an answer; `length` is left out where the body is sent in pieces. */
export function writeHead(
  response: ServerResponse,
  head: AnswerHead,
  verdict: Verdict | undefined,
  length: number | undefined,
): void {
  response.sendDate = false
  const headers: string[] = ['content-type', head.contentType]
  if (head.headers) headers.push(...head.headers)
  if (length !== undefined) headers.push('content-length', String(length))
  if (verdict) {
    headers.push('ratelimit-limit', String(verdict.limit))
    headers.push('ratelimit-remaining', String(verdict.remaining))
    headers.push('ratelimit-reset', String(verdict.reset))
  }
  headers.push('date', httpDate(), 'server', 'hypercorn-h11')
  if (response.shouldKeepAlive) response.removeHeader('connection')
  else headers.push('Connection', 'close')
  response.writeHead(head.status, '', headers)
}

let date = ''
let dateMs = 0

/** The time as HTTP writes it, made once a second. */
export function httpDate(): string {
  const nowMs = Date.now()
  if (nowMs - dateMs >= 1000) {
    dateMs = nowMs - (nowMs % 1000)
    date = new Date(dateMs).toUTCString()
  }
  return date
}
