import type { RequestHandler } from 'express'
import { createHash } from 'node:crypto'
import { PAGE } from './page.ts'
import { SCRIPT } from './script/index.ts'
import { STYLE } from './style.ts'

/** Allows exactly this one script and style, and calls to the gateway itself (CSP 3, 2.3.1). */
const POLICY = [
  "default-src 'none'",
  `script-src ${sourceHash(SCRIPT)}`,
  `style-src ${sourceHash(STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const BODY = Buffer.from(PAGE)

/** `GET /dashboard`: the page for people. It shows what `/health` and `/stats` say, asked again every two seconds. */
export const dashboardPage: RequestHandler = (_req, res) => {
  res.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': BODY.length,
    'Content-Security-Policy': POLICY,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(BODY)
}

function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
