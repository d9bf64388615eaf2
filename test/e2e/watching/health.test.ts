import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { packageVersion } from '../../../src/base/packageVersion.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const file = { after }
const one = await startFakeNode({ rateLimit: 0 }, file)
const two = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await spawnGateway(file, { nodes: [one.address, two.address], env: { REFRESH_INTERVAL: '0.2' } })

interface Health {
  status: string
  degraded: boolean
  router: string
  healthy_services: string
  timestamp: string
  version: string
}

async function health(): Promise<Health & { code: number }> {
  const answer = await request(`${gateway.url}/health`)
  return { code: answer.status, ...answer.json<Health>() }
}

const codeOf = async (path: string): Promise<number> => (await request(gateway.url + path)).status

async function counts(expected: string): Promise<void> {
  await eventually(async () => (await health()).healthy_services === expected, { withinMs: 20_000, what: expected })
}

describe('/health, /livez and /readyz', () => {
  test('with healthy nodes are all well, and the first is what the official client expects', async () => {
    await gateway.ready(2)
    const { timestamp, version, ...told } = await health()
    assert.deepEqual(told, {
      code: 200,
      status: 'healthy',
      degraded: false,
      router: 'running',
      healthy_services: '2/2',
    })
    assert.equal(version, packageVersion())
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000)
    assert.deepEqual([await codeOf('/livez'), await codeOf('/readyz')], [200, 200])
  })

  test('are well as long as one node is; the first calls that degraded', async () => {
    await one.refuse()
    await counts('1/2')
    const { code, status, degraded } = await health()
    assert.deepEqual([code, status, degraded], [200, 'healthy', true])
    assert.equal(await codeOf('/readyz'), 200)
  })

  test('without any say so, but the process is alive', async () => {
    await two.refuse()
    await counts('0/2')
    const { code, status, degraded } = await health()
    assert.deepEqual([code, status, degraded], [503, 'unhealthy', false])
    assert.deepEqual([await codeOf('/livez'), await codeOf('/readyz')], [200, 503])
    assert.equal((await request(`${gateway.url}/health`, { method: 'HEAD' })).status, 503)
  })

  test('are well again when a node is', async () => {
    await one.comeBack()
    await counts('1/2')
    await eventually(async () => (await codeOf('/readyz')) === 200)
  })

  test('say while draining that it drains; no new work is taken, what runs goes on, then the process ends', async () => {
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, {
      body: jobOf({ pieces: 4, pieceMs: 1500, text: 'x' }),
    })
    await stream.until((text) => text.includes('x'))
    gateway.signal('SIGTERM')
    await gateway.waitForLog(({ message }) => message === 'draining')
    const { code, status } = await health()
    assert.deepEqual([code, status], [503, 'draining'])
    assert.deepEqual([await codeOf('/livez'), await codeOf('/readyz')], [200, 503])
    const refused = [
      await request(`${gateway.url}/api/v1/ips?container=echo`),
      await post(`${gateway.url}/api/jobs`, jobOf()),
    ]
    for (const answer of refused) {
      assertError(answer, 503)
      assert.equal(answer.headers.connection, 'close')
    }
    const { draining } = (await request(`${gateway.url}/stats`)).json<{ draining: boolean }>()
    assert.equal(draining, true)
    assert.deepEqual((await stream.ended).complete, true)
    assert.match(stream.text, /xxxx$/)
    assert.deepEqual(await gateway.exited, { code: 0, signal: null })
  })
})
