import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'

const file = { after }
const nodes = await Promise.all([1, 2, 3, 4].map(() => startFakeNode({ containers: ['herd'] }, file)))
const pair = await Promise.all([1, 2].map(() => startFakeNode({ containers: ['pair'] }, file)))
const alone = await startFakeNode({ containers: ['alone'] }, file)
const [best, ...others] = nodes.map((node) => node.address) as [string, ...string[]]
const gateway = await startGateway(file, {
  // It alone can run two jobs at once, so without any load it is everybody's first choice.
  ipsLines: [
    `${best} concurrency=2`,
    ...[...others, ...pair.map((node) => node.address)].map((address) => `${address} concurrency=1`),
    alone.address,
  ],
  env: { REFRESH_INTERVAL: '3600' },
  healthy: 7,
})

interface Stats {
  name: string
  unseen: number
}

async function unseenJobs(): Promise<Map<string, number>> {
  const { services } = (await request(`${gateway.url}/stats`)).json<{ services: Stats[] }>()
  return new Map(services.map(({ name, unseen }) => [name, unseen]))
}

test('a herd of two-step clients between two polls spreads over the nodes, by what they can do at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const path = i % 2 ? '/api/v1/ips?container=herd' : '/api/v1/ip?container=herd'
      const answer = (await request(gateway.url + path)).json<string[] | { ip: string }>()
      return Array.isArray(answer) ? answer[0] : answer.ip
    }),
  )
  const times = (address: string): number => answers.filter((one) => one === address).length
  const spread = [best, ...others].map(times)
  assert.ok(Math.min(...spread) >= 4, `${spread.join(' ')}`)
  assert.ok(times(best) > 10 && times(best) < 28, `${spread.join(' ')}`)
})

test('only the first address of an answer is thought to get the job', async () => {
  const answer = await request(`${gateway.url}/api/v1/ips?container=alone&n=3`)
  assert.deepEqual(answer.json(), [alone.address])
  const unseen = (await unseenJobs()).get(alone.address) ?? 0
  assert.ok(unseen > 0.3 && unseen <= 1, String(unseen))
  // Asked from the second place on, or for none, it is not first.
  const before = await unseenJobs()
  await request(`${gateway.url}/api/v1/ips?container=alone&offset=1`)
  await request(`${gateway.url}/api/v1/ips?container=alone&n=0`)
  const later = (await unseenJobs()).get(alone.address) ?? 0
  assert.ok(later <= (before.get(alone.address) ?? 0))
})

test('jobs keep away from where a look-up has just sent a client', async () => {
  const { ip } = (await request(`${gateway.url}/api/v1/ip?container=pair`)).json<{ ip: string }>()
  const answer = await post(`${gateway.url}/api/jobs`, jobOf({}, ['pair']))
  assert.equal(answer.status, 200)
  assert.notEqual(answer.headers['x-infernet-node'], ip)
})

test('one large ticket keeps its worker free of the next ones, which spread over the others', async (t) => {
  const four = await Promise.all([1, 2, 3, 4].map(() => startFakeNode({}, t)))
  const { url } = await gatewayFor(t, four, { REFRESH_INTERVAL: '3600' })
  const ticket = async (members: object = {}): Promise<{ url: string; cost: number }> =>
    (await post(`${url}/route/`, { endpoint: 'echo', ...members })).json()
  const large = await ticket({ cost: 10_000 })
  assert.equal(large.cost, 10_000)
  const tickets = await Promise.all(Array.from({ length: 12 }, () => ticket()))
  assert.ok(tickets.every(({ cost }) => cost === 1))
  const others = four.filter((node) => node.url !== large.url)
  const spread = others.map((node) => tickets.filter((each) => each.url === node.url).length)
  assert.deepEqual(spread, [4, 4, 4])
})
