import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { Script } from 'node:vm'
import { startGateway } from './kit/builders/gateways.ts'
import { request } from './kit/http.ts'
import { startFakeNode } from './kit/fakeNode/index.ts'
import { startFakeOpenAi } from './kit/fakeOpenAi/index.ts'
import { freePort } from './kit/wait.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const service = await startFakeOpenAi({}, file)
const gateway = await startGateway(file, {
  nodes: [node, `127.0.0.1:${await freePort()}`],
  services: [{ name: 'service', url: service.url }],
  healthy: 2,
})

const page = await request(`${gateway.url}/dashboard`)
const script = inline('script')

function inline(tag: string): string {
  const content = new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(page.text)?.[1]
  assert.ok(content, `the page has no ${tag}`)
  return content
}

test('the page is HTML that nobody keeps, with and without a trailing slash', async () => {
  assert.equal(page.status, 200)
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  assert.equal(page.headers['cache-control'], 'no-store')
  assert.equal(page.headers['x-content-type-options'], 'nosniff')
  assert.equal((await request(`${gateway.url}/dashboard/`)).text, page.text)
})

test('the policy allows the one script and style of the page, calls to the gateway, and nothing else', () => {
  const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = page.headers['content-security-policy']
  const directives = new Map(
    String(policy)
      .split('; ')
      .map((one) => one.split(/ (.*)/) as [string, string]),
  )
  assert.equal(directives.get('default-src'), "'none'")
  assert.equal(directives.get('script-src'), hashOf(script))
  assert.equal(directives.get('style-src'), hashOf(inline('style')))
  assert.equal(directives.get('connect-src'), "'self'")
  assert.equal(directives.get('frame-ancestors'), "'none'")
  for (const tag of ['script', 'style']) assert.equal(page.text.split(`<${tag}`).length, 2, `more than one ${tag}`)
  assert.doesNotMatch(page.text, /\sstyle=|\son\w+=/)
})

test('nothing is loaded from anywhere', () => {
  assert.doesNotMatch(page.text, /https?:|\bsrc=|@import|url\(/)
  assert.deepEqual(page.text.match(/<link[^>]*>/g), ['<link rel="icon" href="data:," />'])
})

test('the script can be read by a browser, and what it shows is never taken for markup', () => {
  // In a block, as in a module, no name may be declared twice.
  new Script(`'use strict'; {${script}}`)
  assert.doesNotMatch(script, /^(import|export) /m)
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|setHTML|new Function/)
})

test('the script finds its elements in the page, and in /stats all that it shows of a node', async () => {
  const ids = new Set([...page.text.matchAll(/\sid="([\w-]+)"/g)].map(([, id]) => id))
  for (const [, id] of script.matchAll(/byId\('([\w-]+)'\)/g)) assert.ok(ids.has(id), `there is no #${id}`)

  const { services } = (await request(`${gateway.url}/stats`)).json<{ services: object[] }>()
  assert.equal(services.length, 3)
  const told = new Set(services.flatMap(Object.keys))
  const shown = [...script.matchAll(/\bnode\.(\w+)/g), ...script.matchAll(/(?:numeric|timed)\('(\w+)'\)/g)].map(
    ([, member]) => member!,
  )
  assert.ok(shown.length > 15)
  for (const member of shown) assert.ok(told.has(member), `/stats does not tell ${member}`)
})
