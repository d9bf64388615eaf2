/** docker/haproxy.cfg, by a HAProxy that runs with it in front of three servers. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener } from 'node:http'
import { describe, test } from 'node:test'
import { post, request } from '../kit/http.ts'
import { serve } from '../kit/serve.ts'
import { eventually, freePort, type Cleanup } from '../kit/wait.ts'
import { DOCKER } from './files.ts'

const FILE = `${DOCKER}haproxy.cfg`
/** Why the tests are skipped; `false` where they are not. */
const skip = isInstalled() ? false : 'haproxy is not installed (Debian: apt-get install haproxy)'

function isInstalled(): boolean {
  try {
    execFileSync('haproxy', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A server in the place of a gateway. */
class Stand {
  isReady = true
  /** What it does with requests that are no checks. */
  answer: RequestListener = (_req, res) => void res.end('{}')
  readonly seen: IncomingMessage[] = []
  address = ''

  async start(t: Cleanup): Promise<this> {
    this.address = await serve(t, (req, res) => {
      if (req.url === '/readyz') return void res.writeHead(this.isReady ? 200 : 503).end()
      this.seen.push(req)
      this.answer(req, res)
    })
    return this
  }
}

interface Site {
  readonly url: string
  readonly stands: readonly Stand[]
}

/** Three servers, and HAProxy in front, which has found those ready that are. */
async function startSite(t: Cleanup, addresses: readonly string[] = []): Promise<Site> {
  const stands = await Promise.all([1, 2, 3].map(() => new Stand().start(t)))
  const [one, two, three] = stands.map(({ address }, index) => addresses[index] ?? address)
  const port = await freePort()
  const env = {
    PATH: process.env['PATH'],
    GATEWAY_1: one,
    GATEWAY_2: two,
    GATEWAY_3: three,
    ADDRESS: '127.0.0.1',
    PORT: String(port),
  }
  const child = spawn('haproxy', ['-db', '-f', FILE], { env, stdio: 'ignore' })
  t.after(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  const url = `http://127.0.0.1:${port}`
  await eventually(() =>
    request(`${url}/`).then(
      ({ status }) => status === 200,
      () => false,
    ),
  )
  return { url, stands }
}

/** Until only those are asked that are to be: HAProxy learns of a change at its next check. */
async function settled({ url, stands }: Site, asked: readonly number[]): Promise<void> {
  await eventually(async () => {
    for (const stand of stands) stand.seen.length = 0
    await Promise.all(Array.from({ length: 12 }, () => request(`${url}/`)))
    return stands.every(({ seen }, index) => seen.length > 0 === asked.includes(index))
  })
}

describe('the balancer', { skip }, () => {
  test('accepts its configuration, in Compose and by hand', () => {
    for (const env of [
      {},
      { GATEWAY_1: '127.0.0.1:1', GATEWAY_2: '127.0.0.1:2', GATEWAY_3: '[::1]:3', PORT: '8081' },
    ]) {
      execFileSync('haproxy', ['-c', '-f', FILE], { env: { PATH: process.env['PATH'], ...env }, stdio: 'pipe' })
    }
  })

  test('spreads requests over the gateways that are ready, and over no others', async (t) => {
    const site = await startSite(t)
    await settled(site, [0, 1, 2])
    site.stands[1]!.isReady = false
    await settled(site, [0, 2])
    site.stands[1]!.isReady = true
    await settled(site, [0, 1, 2])
  })

  test('tries another gateway where a connection cannot be made, which no check has noticed yet', async (t) => {
    // Nobody listens at the first address.
    const site = await startSite(t, [`127.0.0.1:${await freePort()}`])
    for (let n = 0; n < 12; n++) assert.equal((await post(`${site.url}/api/jobs`, {})).status, 200)
  })

  test('never sends a request again that a gateway got, also where the answer is an error or a cut', async (t) => {
    const site = await startSite(t)
    await settled(site, [0, 1, 2])
    const failures: RequestListener[] = [
      (_req, res) => void res.writeHead(503, { 'Retry-After': '1' }).end('{}'),
      (_req, res) => void res.writeHead(500).end('{}'),
      (req) => void req.socket.destroy(),
    ]
    for (const answer of failures) {
      for (const stand of site.stands) {
        stand.seen.length = 0
        stand.answer = answer
      }
      for (const method of ['POST', 'GET']) {
        const answer = await request(`${site.url}/api/jobs`, { method })
        assert.ok(answer.status >= 500, `${answer.status}`)
        assert.doesNotThrow(() => answer.json<object>(), answer.text)
      }
      assert.equal(
        site.stands.reduce((sum, { seen }) => sum + seen.length, 0),
        2,
      )
    }
  })

  test('says who the client is, whatever the client says', async (t) => {
    const { url, stands } = await startSite(t)
    for (const stand of stands) stand.seen.length = 0
    await request(`${url}/`, {
      headers: { 'X-Forwarded-For': '9.9.9.9', Forwarded: 'for=9.9.9.9', 'X-Forwarded-Proto': 'https' },
    })
    const [{ headers }] = stands.flatMap(({ seen }) => seen) as [IncomingMessage]
    assert.equal(headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(headers.forwarded, undefined)
    assert.equal(headers['x-forwarded-proto'], 'http')
    assert.equal(headers['x-forwarded-host'], new URL(url).host)
  })

  test('answers in JSON and says when to come back where no gateway is ready', async (t) => {
    const { url, stands } = await startSite(t)
    for (const stand of stands) stand.isReady = false
    const refused = await eventually(async () => {
      const answer = await request(`${url}/`)
      return answer.status === 503 ? answer : undefined
    })
    assert.equal(refused.headers['retry-after'], '1')
    assert.deepEqual(refused.json(), { error: 'No gateway is ready' })
  })
})
