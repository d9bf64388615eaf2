import type { RequestHandler } from 'express'
import { createHash } from 'node:crypto'
import { assemblePage } from './assemble.ts'

/** `GET /dashboard`: the page for people. It shows what `/health` and `/stats` say, asked again every two seconds. */
export function dashboardPage(): RequestHandler {
  const { html, script, style } = assemblePage()
  const body = Buffer.from(html)
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': body.length,
    'Content-Security-Policy': policyFor(script, style),
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
  return (_req, res) => {
    res.writeHead(200, headers)
    res.end(body)
  }
}

/** Allows exactly this one script and style, and calls to the gateway itself (CSP 3, 2.3.1). */
function policyFor(script: string, style: string): string {
  return [
    "default-src 'none'",
    `script-src ${sourceHash(script)}`,
    `style-src ${sourceHash(style)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ')
}

function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
