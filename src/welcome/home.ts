import type { RequestHandler } from 'express'
import { createHash } from 'node:crypto'
import { pageHeaders, sendPage } from './page.ts'

/** Where to go on, by path: what is there in a few words. Nothing of the fleet or the settings: the page is open to everybody. */
const LINKS = {
  dashboard: { path: 'dashboard', about: 'the backends and how they do, for people' },
  docs: { path: 'docs', about: 'the API, to read and to try' },
  openapi: { path: 'openapi.json', about: 'the same for tools' },
  health: { path: 'health', about: 'whether the gateway can serve' },
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
`

const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Infernet Gateway</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Infernet Gateway</h1>
<p>One address for a fleet of Infernet nodes and OpenAI-compatible services.</p>
<ul>
${Object.values(LINKS)
  .map(({ path, about }) => `<li><a href="${path}">/${path}</a>: ${about}</li>`)
  .join('\n')}
</ul>
</main>
</body>
</html>
`

/** `GET /`: links, as a page for browsers (by `Accept`) and as JSON for everything else. */
export function homePage(): RequestHandler {
  const links = Object.fromEntries(Object.entries(LINKS).map(([name, { path }]) => [name, `/${path}`]))
  const json = JSON.stringify({ name: 'infernet-gateway', links })
  const styleHash = createHash('sha256').update(STYLE).digest('base64')
  const headers = pageHeaders([`style-src 'sha256-${styleHash}'`, 'img-src data:'])
  return (req, res) => {
    res.vary('Accept')
    if (req.accepts(['json', 'html']) === 'html') return sendPage(res, HTML, headers)
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) })
    res.end(json)
  }
}
