import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { startNodes, submitTo } from './support.ts'

interface Avoided {
  kind: string
  reason: string
  until: string
}

const file = { after }
/** One bad node among three that run the same; nothing else is told of them for an hour. */
async function siteWith(status: number): Promise<{ bad: LocalFakeNode; nodes: LocalFakeNode[]; gateway: Gateway }> {
  const nodes = await startNodes(file, 3)
  const gateway = await gatewayFor(file, nodes, { REFRESH_INTERVAL: '3600' })
  const bad = nodes[0]!
  for (const endpoint of ['submit', 'stream', 'batch'] as const) await bad.answer(status, endpoint)
  return { bad, nodes, gateway }
}

async function avoidedOf(gateway: Gateway, node: LocalFakeNode): Promise<Avoided[]> {
  const { services } = (await request(`${gateway.url}/stats`)).json<{
    services: { name: string; avoided: Avoided[] }[]
  }>()
  return services.find(({ name }) => name === node.address)!.avoided
}

/** Submits jobs one after the other; returns the statuses that were no 200. */
async function failuresOf(gateway: Gateway, jobs: number): Promise<number[]> {
  const failures: number[] = []
  for (let n = 0; n < jobs; n++) {
    const { status } = await submitTo(gateway, jobOf({ n }))
    if (status !== 200) failures.push(status)
  }
  return failures
}

for (const status of [500, 502]) {
  describe(`a node that answers ${status} to every job`, async () => {
    const { bad, nodes, gateway } = await siteWith(status)

    test('fails no more than a few of them, though it is always idle', async () => {
      const failures = await failuresOf(gateway, 150)
      // Three refusals decide at the most. On a machine so slow that this takes minutes there are two trials more.
      assert.ok(failures.length >= 1 && failures.length <= 5, `${failures.length} failed`)
      assert.deepEqual(new Set(failures), new Set([status]))
    })

    test('is told of in /stats, in the log and in the metrics', async () => {
      const [avoided, ...more] = await avoidedOf(gateway, bad)
      assert.deepEqual(more, [])
      assert.equal(avoided!.kind, 'container echo')
      assert.equal(avoided!.reason, `answers ${status} to 100 % where its siblings answer 0 %`)
      assert.ok(Date.parse(avoided!.until) > Date.now() - 1000)
      for (const good of nodes.slice(1)) assert.deepEqual(await avoidedOf(gateway, good), [])
      const line = await gateway.waitForLog(({ message }) => message?.startsWith('node set aside') === true)
      assert.equal(line.level, 'warn')
      assert.deepEqual([line['node'], line['kind']], [bad.address, 'container echo'])
      const metrics = (await request(`${gateway.url}/metrics`)).text
      assert.match(metrics, new RegExp(`node_set_asides_total\\{node="${bad.address}"\\} [1-9]`))
    })

    test('comes last in look-ups for that container', async () => {
      const ips = (await request(`${gateway.url}/api/v1/ips?container=echo&n=3`)).json<string[]>()
      assert.deepEqual([...ips].sort(), nodes.map(({ address }) => address).sort())
      assert.equal(ips[2], bad.address)
      const page = (await request(`${gateway.url}/api/v1/ips?container=echo&n=2&offset=1`)).json<string[]>()
      assert.equal(page[1], bad.address)
    })

    test('is healthy all the same', async () => {
      assert.equal(
        (await request(`${gateway.url}/health`)).json<{ healthy_services: string }>().healthy_services,
        '3/3',
      )
    })
  })
}

test('a batch that a node answers with 500 counts once, however many items it has', async () => {
  const { bad, gateway } = await siteWith(500)
  const batch = Array.from({ length: 60 }, (_, n) => jobOf({ n }))
  assert.equal((await post(`${gateway.url}/api/jobs/batch`, batch)).status, 200)
  assert.equal(bad.seen('batch').length, 1)
  assert.deepEqual(await avoidedOf(gateway, bad), [])
})

test('a 502 of something in front of a node brings its next poll forward', async () => {
  const { bad, gateway } = await siteWith(502)
  const polls = bad.seen('info').length
  await failuresOf(gateway, 20)
  await eventually(() => bad.seen('info').length > polls)
})

test('a node without siblings is not set aside, whatever it answers', async () => {
  const nodes = await startNodes(file, 2)
  const gateway = await gatewayFor(file, nodes.slice(0, 1))
  await nodes[0]!.answer(500, 'submit')
  assert.equal((await failuresOf(gateway, 12)).length, 12)
  assert.deepEqual(await avoidedOf(gateway, nodes[0]!), [])
})
