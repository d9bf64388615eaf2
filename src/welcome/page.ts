import type { ServerResponse } from 'node:http'

/** Headers of the gateway's pages for people (`Content-Security-Policy`: CSP 3); what the policy does not name is forbidden. */
export function pageHeaders(policy: readonly string[]): Record<string, string> {
  const all = ["default-src 'none'", ...policy, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': all.join('; '),
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
}

/** Writes a page as a whole. */
export function sendPage(res: ServerResponse, html: string, headers: Readonly<Record<string, string>>): void {
  const body = Buffer.from(html)
  res.writeHead(200, { ...headers, 'Content-Length': body.length })
  res.end(body)
}
