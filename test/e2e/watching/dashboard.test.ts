/** The dashboard as people see it, in Chromium. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import axe from 'axe-core'
import { chromium, type Browser, type Page } from 'playwright-core'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { post, request } from '../../kit/http.ts'
import { eventually, freePort } from '../../kit/wait.ts'

const CHROMIUM = '/usr/bin/chromium'
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed (Debian: apt-get install chromium)`

const file = { after }
const dead = `127.0.0.1:${await freePort()}`
const node = await startFakeNode({ rateLimit: 0, containers: ['echo', { id: 'broken', dead: true }] }, file)
const service = await startFakeOpenAi({ models: ['small-model'] }, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [{ name: 'gpu', url: service.url, concurrency: 4 }],
})

let browser: Browser
before(async () => {
  if (!skip) browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
})
after(() => browser?.close())

interface Look {
  /** What the page gets instead of the gateway's answers to `/stats` and `/health`. */
  stats?: object
  health?: object
}

/** The page, once it shows figures. It must not complain of anything. */
async function open(t: { after(fn: () => unknown): void }, look: Look = {}): Promise<Page> {
  const { stats, health } = look
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  if (stats) await page.route('**/stats', (route) => route.fulfill({ json: stats }))
  if (health) await page.route('**/health', (route) => route.fulfill({ json: health }))
  await page.goto(`${gateway.url}/dashboard`)
  await page.waitForSelector('#banner:not([data-status=waiting])')
  await page.waitForSelector('#figures:not([hidden])')
  t.after(async () => {
    await context.close()
    assert.deepEqual(complaints, [])
  })
  return page
}

const textOf = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).innerText()).replaceAll(/\s+/g, ' ')

/** What a card or tile shows, by its name. */
const figure = (page: Page, name: string): Promise<string> => textOf(page, `dl > div:has(dt:text-is("${name}"))`)

async function statsNow(): Promise<Record<string, unknown>> {
  return (await request(`${gateway.url}/stats`)).json<Record<string, unknown>>()
}

describe('the dashboard tells the truth', { skip }, () => {
  test('of a gateway that does well, in green, and of what is not learnt yet', async (t) => {
    const page = await open(t)
    await page.waitForSelector('#banner[data-status=healthy]')
    assert.equal(await textOf(page, '#verdict'), 'Healthy: 2 of 2 backends, no errors in the last 5 minutes')
    assert.match(await figure(page, 'Success rate'), /^Success rate – no requests$/)
    assert.match(await figure(page, 'Median time (p50)'), / – nothing served/)
    assert.equal(await page.locator('#models-section').isVisible(), false)
    const row = await textOf(page, `#nodes tr:has-text("${node.address}")`)
    assert.match(row, /healthy echo broken 0 of 3 assumed, not learnt yet .*– not learnt yet/)
    assert.match(await textOf(page, '#nodes tr:has-text("gpu")'), /0 of 4 0 0 0/)
  })

  test('of errors that clients got, failed jobs and backends that are down, in amber', async (t) => {
    await gateway.setNodes([node.address, dead])
    await node.break('submit', { times: 2 })
    for (let n = 0; n < 2; n++) assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 502)
    for (let n = 0; n < 6; n++) assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({}, ['broken']))).status, 200)
    const chat = { model: 'small-model', messages: [{ role: 'user', content: 'Hello' }] }
    assert.equal((await post(`${gateway.url}/v1/chat/completions`, chat)).status, 200)
    const unknown = await post(`${gateway.url}/v1/chat/completions`, { ...chat, model: 'nobody-has-it' })
    assert.equal(unknown.status, 404)
    const total = (values: unknown): number => (values as number[]).reduce((sum, value) => sum + value, 0)
    await eventually(async () => {
      const { activity, services } = await statsNow()
      const { jobs_failed, jobs_succeeded } = activity as Record<string, unknown>
      const down = (services as { name: string; down_since: string | null }[]).find(({ name }) => name === dead)
      return total(jobs_failed) === 1 && total(jobs_succeeded) === 6 && down?.down_since
    })

    const page = await open(t)
    await page.waitForSelector('#banner[data-status=degraded]')
    assert.equal(await textOf(page, '#verdict'), 'Degraded: 2 of 3 backends can serve')
    const reasons = await page.locator('#reasons li').allInnerTexts()
    assert.deepEqual(reasons, [
      '1 backend is down or ejected',
      '2 of 10 requests failed in the last 5 minutes',
      '1 job failed in the last 5 minutes',
    ])
    assert.match(await figure(page, 'Success rate'), /^Success rate 80 % min .* 2 of 10 failed, 1 refused \(4xx\)$/)
    assert.match(await figure(page, 'Failed jobs'), /^Failed jobs 1 .* of 7 jobs that ended$/)
    assert.match(await figure(page, 'Median time (p50)'), /\d ms/)
    assert.equal(await figure(page, 'Healthy backends'), 'Healthy backends 2 of 3')
    const faults = (await page.locator('#faults tr').allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' '))
    assert.match(faults.join('\n'), /^ERR_NODE_RESET .* backend 2\s*\nERR_MODEL_NOT_FOUND .* client 1\s*$/)
    assert.match(await textOf(page, '#models tr'), /^small-model 1 [\d.]+ ms [\d.]+ ms – \d+ – – \d+ 0 0$/)
    const containers = (await page.locator('#containers tr').allInnerTexts()).map((text) =>
      text.replaceAll(/\s+/g, ' '),
    )
    assert.match(containers[0]!, /^echo 8 [\d.]+ ms [\d.]+ ms 6 0 0 2 0$/)
    assert.match(containers[1]!, /^broken 1 [\d.]+ ms [\d.]+ ms 0 1 0 0 0$/)
    const row = await textOf(page, `#nodes tr:has-text("${dead}")`)
    assert.match(row, /down for \d+ s, since \d+:\d\d:\d\d [AP]M: connection refused .* \d+ s ago – Drain$/)
    assert.ok((await page.locator('#cards svg .area').first().getAttribute('d'))!.length > 0)
  })
})

test('what caches did shows of services and models, and a dash where nothing is known', { skip }, async (t) => {
  const known = { cache_hit_rate: 0.638, warm_share: 0.995, first_token_p50: 0.25 }
  const unknown = { cache_hit_rate: null, warm_share: null, first_token_p50: null }
  const stats = await statsNow()
  const like = (stats['services'] as Record<string, unknown>[]).find(({ kind }) => kind === 'openai')
  const model = { requests: 8, refused: 0, failed: 0, first_byte_p50: 0.2, first_byte_p95: 0.3 }
  const tokens = { prompt_tokens: 1000, completion_tokens: 50 }
  const page = await open(t, {
    stats: {
      ...stats,
      services: [
        { ...like, name: 'one', ...known },
        { ...like, name: 'two', ...unknown },
      ],
      models: [
        { name: 'm', ...model, ...tokens, ...known },
        { name: 'n', ...model, ...tokens, ...unknown },
      ],
    },
  })
  assert.equal(
    await textOf(page, '#models tr:has-text("m") >> nth=0'),
    'm 8 200 ms 300 ms 250 ms 1,000 63.8 % 99.5 % 50 0 0',
  )
  assert.equal(await textOf(page, '#models tr:has-text("n") >> nth=0'), 'n 8 200 ms 300 ms – 1,000 – – 50 0 0')
  assert.match(await textOf(page, '#nodes tr:has-text("one")'), / first token 250 ms 63\.8 % 99\.5 % warm /)
  assert.doesNotMatch(await textOf(page, '#nodes tr:has-text("two")'), /warm|first token/)
})

/** A pool with callers, of which the first three wait. */
function queuePool(name: string, callers: number, more: object = {}): object {
  return {
    ...{ name, waiting: 14, longest_wait: 12.5, idle_places: 0, fairness: 0.75 },
    priorities: { high: 2, normal: 12, low: 0 },
    callers: Array.from({ length: callers }, (_, n) => ({
      ...{ caller: n === 0 ? 'name:alice' : `2001:db8:1234:5678:9abc:def0:1234:${n}` },
      ...{ priority: n === 1 ? 'high' : 'normal', weight: n === 0 ? 2.5 : 1 },
      ...{ waiting: n < 3 ? 4 : 0, running: n, longest_wait: n < 3 ? 12.5 - n : 0 },
      ...{ recent_work: n === 0 ? 60 : 40 / (callers - 1), loss_ratio: n === 1 ? 0.25 : 0 },
    })),
    ...more,
  }
}

/** What `/stats` tells with a queue of these pools. */
async function withQueue(pools: object[], waiting = 14 * pools.length): Promise<object> {
  return { ...(await statsNow()), queue: { waiting, limit: 50, pools } }
}

describe('the queue', { skip }, () => {
  test('is not shown while nothing waits, but for a calm figure', async (t) => {
    const page = await open(t, { stats: await withQueue([queuePool('model m', 2, { waiting: 0 })], 0) })
    assert.equal(await page.isVisible('#queue-section'), false)
    assert.equal(await figure(page, 'Waiting requests'), 'Waiting requests 0 of at most 50')
    const off = await open(t, { stats: { ...(await statsNow()), queue: null } })
    assert.equal(await off.isVisible('#queue-section'), false)
    assert.equal(await off.isVisible('dt:text-is("Waiting requests")'), false)
  })

  test('shows who waits behind whom, how long, and what each got', async (t) => {
    const page = await open(t, { stats: await withQueue([queuePool('model m', 4)]) })
    const text = await textOf(page, '#queue-note')
    assert.equal(text, '14 requests wait for a place at a backend, the longest for 12.5 s')
    const notes = await page.locator('.pool .note').allInnerTexts()
    assert.deepEqual(notes, [
      '14 wait, 2 of high priority, the longest for 12.5 s, fairness 0.75 of 1',
      'and 2 requests of other callers',
    ])
    const rows = (await page.locator('.pool tbody tr').allInnerTexts()).map((row) => row.replaceAll(/\s+/g, ' ').trim())
    assert.deepEqual(rows, [
      'name:alice weight 2.5 next 4 12.5 s 0 60 % –',
      '2001:db8:1234:5678:9abc:def0:1234:1 high priority 2 4 11.5 s 1 13.3 % 25 %',
      '2001:db8:1234:5678:9abc:def0:1234:2 3 4 10.5 s 2 13.3 % –',
      '2001:db8:1234:5678:9abc:def0:1234:3 – 0 – 3 13.3 % –',
    ])
    assert.equal(await page.isVisible('#more-callers'), false)
  })

  test('warns when it is nearly full, and of places that are free meanwhile', async (t) => {
    const page = await open(t, { stats: await withQueue([queuePool('model m', 2, { idle_places: 1 })], 41) })
    assert.equal(await page.locator('#tiles .warn:has(dt:text-is("Waiting requests"))').count(), 1)
    assert.match(await textOf(page, '.pool .note >> nth=0'), /; 1 place is free meanwhile$/)
  })

  test('shows the first pools and callers, and all of them on demand', async (t) => {
    const pools = Array.from({ length: 5 }, (_, n) => queuePool(`model ${n}`, 8))
    const page = await open(t, { stats: await withQueue(pools) })
    const counts = async (): Promise<number[]> => [
      await page.locator('.pool').count(),
      await page.locator('.pool >> nth=0 >> tbody tr').count(),
    ]
    assert.deepEqual(await counts(), [3, 5])
    await page.click('#more-callers')
    assert.deepEqual(await counts(), [5, 8])
    assert.equal(await page.getAttribute('#more-callers', 'aria-expanded'), 'true')
    await page.click('#more-callers')
    assert.deepEqual(await counts(), [3, 5])
  })
})

test('jobs that cannot be recorded show in amber, and why', { skip }, async (t) => {
  const reason = 'jobs cannot be recorded: no space left on device'
  const health = { status: 'healthy', degraded: true, healthy_services: '2/2', reason }
  const page = await open(t, { health })
  await page.waitForSelector('#banner[data-status=degraded]')
  assert.equal(await textOf(page, '#verdict'), 'Degraded: 2 of 2 backends can serve')
  assert.equal(await page.locator('#reasons li').first().innerText(), reason)
})

const LONG_NAME = `container ${'a-container-with-a-rather-long-name,'.repeat(4)}`

/** The same answers with this many nodes, of which every tenth is avoided for each reason that there is. */
async function largeFleet(count: number): Promise<{ stats: object; health: object }> {
  const stats = await statsNow()
  const [like] = stats['services'] as Record<string, unknown>[]
  const until = new Date(Date.now() + 20_000).toISOString()
  const because = (cause: string, text: string): object => ({ cause, kind: null, text, until })
  const reasons = [
    because('not_polled', 'not polled yet'),
    because('ejected', 'its requests keep failing'),
    because('set_aside', 'set aside for container echo: answers 500 to 94 % where its siblings answer 1 %'),
    because('resting', 'rests after 429, for some or all of its work'),
    because('slow', 'slow: a job takes 3.1 × as long as elsewhere'),
    because('image_conflict', 'its image is another one than elsewhere: echo'),
  ]
  const services = Array.from({ length: count }, (_, n) => ({
    ...like,
    name: `http://node-${n}.a-name-that-is-rather-long.example.org:4000/base`,
    healthy: n % 10 !== 9,
    load: 0.1 + 0.2,
    containers: Array.from({ length: n % 7 }, (_, id) => `container-${id}`),
    down_since: n % 10 === 9 ? new Date(Date.now() - 3_700_000).toISOString() : null,
    why_avoided: n % 10 === 9 ? [because('down', 'connection refused')] : n % 10 < 6 ? [reasons[n % 10]] : [],
    drain: n === 7 ? 'draining' : null,
  }))
  const bad_lines = [
    { setting: 'IPS_FILE', line: 7, entry: 'not an:address', reason: 'the port is no number' },
    { setting: 'SERVICES_FILE', line: null, entry: 'gpu-2', reason: 'the variable GPU_KEY is not set' },
  ]
  const healthy = Math.floor(count * 0.9)
  const health = {
    ...{ status: 'healthy', degraded: true, healthy_services: `${healthy}/${count}` },
    timestamp: new Date().toISOString(),
  }
  return {
    stats: {
      ...{ ...stats, services, bad_lines, bad_lines_total: 3, total_services: count, healthy_services: healthy },
      queue: {
        waiting: 45,
        limit: 50,
        pools: ['model m', LONG_NAME].map((name) => queuePool(name, 7, { idle_places: 2 })),
      },
    },
    health,
  }
}

describe('a fleet of 200 nodes', { skip }, () => {
  test('is shown page by page in compact rows, and can be filtered and sorted', async (t) => {
    const page = await open(t, await largeFleet(200))
    const names = async (): Promise<string[]> =>
      (await page.locator('#nodes .name').allInnerTexts()).map((name) => /node-\d+/.exec(name)![0])
    assert.equal((await names()).length, 25)
    assert.equal(await page.isChecked('#compact'), true)
    assert.equal(await textOf(page, '#range'), '1–25 of 200')
    // What needs care is on top.
    assert.match(await textOf(page, '#nodes tr >> nth=0'), /node-9\..* down for 1 h, since .*: connection refused/)
    await page.click('#next')
    assert.equal(await textOf(page, '#range'), '26–50 of 200')
    await page.fill('#search', 'node-17')
    await page.selectOption('#which', 'remarkable')
    assert.deepEqual((await names()).sort(), [
      ...['node-170', 'node-171', 'node-172', 'node-173', 'node-174', 'node-175', 'node-179'],
    ])
    assert.equal(await textOf(page, '#range'), '1–7 of 7 (of 200 in all)')
    await page.fill('#search', 'no such node')
    assert.equal(await page.isVisible('#none-fits'), true)
    await page.fill('#search', '')
    await page.selectOption('#which', 'all')
    await page.selectOption('#per-page', { label: 'all' })
    assert.equal((await names()).length, 200)
    await page.click('#heads button:text-is("Node")')
    assert.deepEqual((await names()).slice(0, 3), ['node-0', 'node-1', 'node-2'])
  })

  test('says why each is avoided, which lines were skipped, and no digit too many', async (t) => {
    const page = await open(t, await largeFleet(10))
    const row = (n: number): Promise<string> => textOf(page, `#nodes tr:has-text("node-${n}.")`)
    assert.match(await row(0), /not polled yet/)
    assert.match(await row(1), /ejected its requests keep failing \(until \d+:\d\d:\d\d [AP]M\)/)
    assert.match(await row(2), /avoided set aside for container echo: answers 500 to 94 %/)
    assert.match(await row(3), /avoided rests after 429/)
    assert.match(await row(4), /avoided slow: a job takes 3.1 ×/)
    assert.match(await row(5), /healthy its image is another one/)
    assert.match(await row(7), /draining/)
    assert.match(await row(6), / 0\.3 of 3 /)
    const warnings = await textOf(page, '#warnings')
    assert.match(warnings, /3 lines were skipped .*IPS_FILE, line 7 \(not an:address\): the port is no number/)
    assert.match(warnings, /SERVICES_FILE \(gpu-2\): the variable GPU_KEY is not set and 1 more/)
  })
})

test('light and dark, wide and narrow, axe finds no violation and nothing scrolls sideways', { skip }, async (t) => {
  const page = await open(t, await largeFleet(30))
  await page.evaluate(axe.source)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [1440, 1024, 390]) {
      await page.setViewportSize({ width, height: 900 })
      for (const isCompact of [false, true]) {
        await page.setChecked('#compact', isCompact)
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
      }
      const found = await page.evaluate(
        'axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map(({ target }) => String(target))]))',
      )
      assert.deepEqual(found, [], `${width} pixels, ${colorScheme}`)
    }
  }
})
