/** What somebody finds who has just started a gateway, or knows no more of it than its address. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'

const gateway = await spawnGateway(
  { after },
  {
    env: {
      IPS_FILE: 'none.txt',
      OPS_KEY: 'the-ops-key',
      API_KEYS: 'a-client-key',
      CORS_ORIGINS: 'https://app.example',
    },
  },
)
const BROWSER = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

function policyOf(answer: Awaited<ReturnType<typeof request>>): Map<string, string> {
  const policy = String(answer.headers['content-security-policy'])
  return new Map(policy.split('; ').map((one) => one.split(/ (.*)/) as [string, string]))
}

test('a first start says where addresses go and where the dashboard is, in one line of the log', async () => {
  const line = await gateway.waitForLog(({ message }) => message?.startsWith('no backends are listed yet') === true)
  assert.equal(line['file'], `${gateway.cwd}/none.txt`)
  assert.equal(line['dashboard'], `${gateway.url}/dashboard`)
  assert.equal(line.level, 'warn')
})

test('GET / is links in JSON, of which each leads somewhere, and tells nothing else', async () => {
  for (const headers of [{}, { Accept: '*/*' }, { Accept: 'application/json' }, { Accept: 'image/png' }]) {
    const answer = await request(`${gateway.url}/`, { headers })
    assert.equal(answer.status, 200)
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
    assert.match(answer.headers.vary ?? '', /Accept$/)
    assert.deepEqual(answer.json(), {
      name: 'infernet-gateway',
      links: { dashboard: '/dashboard', docs: '/docs', openapi: '/openapi.json', health: '/health' },
    })
  }
  const statuses = await Promise.all(
    ['/dashboard', '/docs', '/openapi.json', '/health'].map(async (path) => (await request(gateway.url + path)).status),
  )
  // The dashboard needs the key, and there are no backends.
  assert.deepEqual(statuses, [401, 200, 200, 503])
})

test('GET / is a page for a browser, which loads nothing and runs nothing', async () => {
  const page = await request(`${gateway.url}/`, { headers: BROWSER })
  assert.equal(page.status, 200)
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  assert.match(page.headers.vary ?? '', /Accept$/)
  const policy = policyOf(page)
  const [, style = ''] = /<style>([^]*)<\/style>/.exec(page.text) ?? []
  assert.equal(policy.get('default-src'), "'none'")
  assert.equal(policy.get('style-src'), `'sha256-${createHash('sha256').update(style).digest('base64')}'`)
  assert.equal(policy.has('script-src'), false)
  assert.deepEqual(
    [...page.text.matchAll(/<a href="([^"]*)"/g)].map(([, path]) => path),
    ['dashboard', 'docs', 'openapi.json', 'health'],
  )
  assert.doesNotMatch(page.text, /https?:|<script|\ssrc=/)
  assert.equal((await request(`${gateway.url}/`, { method: 'POST', body: {} })).status, 405)
})

test('GET /docs needs no key, as /openapi.json does not, and lets only what it names itself be loaded and run', async () => {
  const pages = await Promise.all(['/docs', '/docs/'].map((path) => request(gateway.url + path)))
  for (const [index, page] of pages.entries()) {
    assert.equal(page.status, 200)
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
    const policy = policyOf(page)
    const [, nonce] = /^'nonce-([\w+/]{22}==)'$/.exec(policy.get('script-src') ?? '') ?? []
    assert.ok(nonce)
    assert.equal(policy.get('default-src'), "'none'")
    assert.equal(policy.get('style-src'), `'nonce-${nonce}'`)
    assert.equal(policy.get('connect-src'), "'self'")
    assert.equal(policy.get('frame-ancestors'), "'none'")
    assert.doesNotMatch(page.text, /https?:|\sstyle=|\son\w+=/)
    for (const [, path = ''] of page.text.matchAll(/\s(?:href|src)="([^"]*\/[^"]*)"/g)) {
      const url = new URL(path, `${gateway.url}${['/docs', '/docs/'][index]}`)
      assert.equal((await request(url.href)).status, 200, url.href)
    }
  }
  assert.notEqual(pages[0]!.headers['content-security-policy'], pages[1]!.headers['content-security-policy'])
})

test('the files of /docs are those of the viewer that its page loads, and no others', async () => {
  const script = await request(`${gateway.url}/docs/swagger-ui-bundle.js`)
  assert.equal(script.status, 200)
  assert.equal(script.headers['content-type'], 'text/javascript; charset=utf-8')
  assert.equal(script.headers['cache-control'], 'public, max-age=3600')
  assert.equal(Number(script.headers['content-length']), Buffer.byteLength(script.text))
  for (const path of [
    'index.html',
    'swagger-ui-bundle.js.map',
    '..%2Fpackage.json',
    '%2e%2e%2f%2e%2e%2fpackage.json',
    '__proto__',
  ]) {
    const answer = await request(`${gateway.url}/docs/${path}`)
    assert.equal(answer.status, 404, path)
    assert.match(answer.text, /^\{"error":/)
  }
})
