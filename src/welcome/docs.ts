import type { RequestHandler } from 'express'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { GatewayFault } from '../faults.ts'
import { pageHeaders, sendPage } from './page.ts'

/** Run from sources the viewer is the installed package; the build puts its files beside this module. */
const FOLDER = import.meta.url.endsWith('.ts') ? '../../node_modules/swagger-ui-dist/' : 'viewer/'

/** The files of the viewer that the page loads, and their types. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
])

/** How long browsers keep the files of the viewer, seconds. */
const KEPT_SECONDS = 3600
const NONCE_BYTES = 16

/** The viewer's options. It would ask another host whether the description is valid. */
const OPTIONS = {
  dom_id: '#viewer',
  deepLinking: true,
  docExpansion: 'list',
  tryItOutEnabled: false,
  validatorUrl: null,
}

/** `home`: how the page's own address leads to that of the gateway, which a proxy may show below a path. */
const htmlOf = (home: string, nonce: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Infernet Gateway: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" nonce="${nonce}" href="${home}docs/swagger-ui.css">
</head>
<body>
<div id="viewer"></div>
<noscript>The description of the API is at <a href="${home}openapi.json">/openapi.json</a>. Showing it here needs JavaScript.</noscript>
<script nonce="${nonce}" src="${home}docs/swagger-ui-bundle.js"></script>
<script nonce="${nonce}">SwaggerUIBundle(${JSON.stringify({ url: `${home}openapi.json`, ...OPTIONS })})</script>
</body>
</html>
`

/** `GET /docs`: shows `/openapi.json` by Swagger UI, which is part of the gateway. The page asks nothing of any other host. */
export function docsPage(): RequestHandler {
  return (req, res) => {
    const nonce = randomBytes(NONCE_BYTES).toString('base64')
    const own = [`script-src 'nonce-${nonce}'`, `style-src 'nonce-${nonce}'`, "connect-src 'self'", 'img-src data:']
    const home = req.path.endsWith('/') ? '../' : './'
    sendPage(res, htmlOf(home, nonce), pageHeaders(own))
  }
}

/** `GET /docs/{file}`: the files of the viewer that its page loads. */
export function docsFile(): RequestHandler {
  // Read once, when they are needed: all requests share one copy.
  const bodies = new Map<string, Promise<Buffer>>()
  const bodyOf = (name: string): Promise<Buffer> => {
    const known = bodies.get(name)
    if (known) return known
    const body = readFile(new URL(FOLDER + name, import.meta.url))
    bodies.set(name, body)
    body.catch(() => bodies.delete(name))
    return body
  }
  return async (req, res) => {
    const name = String(req.params['file'])
    const type = TYPES.get(name)
    if (type === undefined) throw new GatewayFault('ERR_NOT_FOUND')
    const body = await bodyOf(name)
    res.writeHead(200, {
      'Content-Type': type,
      'Content-Length': body.length,
      'Cache-Control': `public, max-age=${KEPT_SECONDS}`,
      'X-Content-Type-Options': 'nosniff',
    })
    res.end(body)
  }
}
