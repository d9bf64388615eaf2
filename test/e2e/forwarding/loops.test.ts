import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'

describe('gateways in a row', { concurrency: 2 }, () => {
  test('what already passed through this gateway is a 508', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node])
    await post(`${gateway.url}/api/jobs`, jobOf())
    const via = node.seen('submit').at(-1)!.header('via')!
    for (const passed of [via, `1.0 before, ${via}`, `${via}, 1.1 after`, `1.1 a,${via},1.1 b`]) {
      for (const [method, path, body] of [
        ['POST', '/api/jobs', jobOf()],
        ['POST', '/api/jobs/stream', jobOf()],
        ['POST', '/api/jobs/batch', [jobOf()]],
        ['GET', '/api/jobs'],
        ['GET', '/info'],
        ['GET', '/resources'],
      ] as const) {
        const answer = await request(`${gateway.url}${path}`, { method, body, headers: { Via: passed } })
        assertError(answer, 508)
      }
    }
    assert.equal(node.seen('submit').length, 1)
    // Another gateway's name is no loop.
    const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { Via: `${via}0, ${via.slice(0, -1)}` } })
    assert.equal(answer.status, 200)
  })

  test('a gateway in its own list never becomes healthy to itself, under any of its names, and gets no job', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const port = await freePort()
    const own = [`127.0.0.1:${port}`, `http://localhost:${port}`]
    const gateway = await startGateway(t, {
      nodes: [...own, node],
      env: { PORT: String(port), REFRESH_INTERVAL: '0.2' },
      healthy: 1,
    })
    for (const name of own) {
      const line = await gateway.waitForLog(({ message, node }) => message === 'node down' && node === name)
      assert.match(String(line['reason']), /answered 508/)
    }
    for (let i = 0; i < 10; i++) {
      const answer = await post(`${gateway.url}/api/jobs`, jobOf())
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['x-infernet-node'], node.address)
    }
    for (const name of own) assert.equal((await statsOf(gateway, { address: name })).healthy, false)
    assert.deepEqual(
      gateway.logs.filter((line) => line.message === 'node up').map((line) => line['node']),
      [node.address],
    )
  })

  test('a gateway behind a gateway is a node like any other', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const inner = await gatewayFor(t, [node])
    const outer = await gatewayFor(t, [{ address: `127.0.0.1:${inner.port}` }])
    const from = { localAddress: '127.0.0.61' }
    const answer = await post(`${outer.url}/api/jobs`, jobOf({ output: 'chained' }), from)
    assert.equal(answer.status, 200)
    const { id } = answer.json<{ id: string }>()
    const seen = node.seen('submit').at(-1)!
    assert.match(seen.header('via')!, /^1\.1 infernet-gateway-\w+, 1\.1 infernet-gateway-\w+$/)
    assert.equal(seen.header('x-forwarded-for'), '127.0.0.1')
    assert.equal(seen.header('x-request-id'), answer.headers['x-request-id'])
    await eventually(
      async () => (await request(`${outer.url}/api/jobs?id=${id}`, from)).text.includes('"output":"chained"'),
      { everyMs: 100, withinMs: 8000 },
    )
  })
})
