import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { entryOf, gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { type Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { askChat, chat } from '../openai/support.ts'

interface Stats {
  fleet: { kinds: { kind: string; weight: number; jobs: number }[] }
  services: { name: string; kinds: Record<string, number>; service_time: number }[]
}

async function statsOf({ url }: Gateway): Promise<Stats> {
  return (await request(`${url}/stats`)).json<Stats>()
}

const stream = ({ url }: Gateway, containers: string[], data: object) =>
  post(`${url}/api/jobs/stream`, jobOf(data, containers))

async function repeat(times: number, act: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < times; i++) await act()
}

test('/stats shows what each kind of work costs: a set of containers, or a model', async () => {
  const node = await startFakeNode({ containers: ['small', 'large', 'other'], concurrency: 4, rateLimit: 0 }, { after })
  const service = await startFakeOpenAi({ models: ['m'] }, { after })
  const gateway = await startGateway({ after }, { nodes: [node], services: [entryOf(service)] })
  assert.deepEqual((await statsOf(gateway)).fleet.kinds, [])

  await repeat(30, () => stream(gateway, ['small'], { seconds: 0.005 }))
  await repeat(20, () => stream(gateway, ['large'], { seconds: 0.1 }))
  await stream(gateway, ['small', 'other'], {})
  await stream(gateway, ['other', 'small', 'other'], {})
  await repeat(3, () => askChat(gateway, chat({}, { model: 'm' })))

  const { fleet, services } = await statsOf(gateway)
  assert.deepEqual(
    fleet.kinds.map(({ kind, jobs }) => [kind, jobs]),
    [
      ['containers:small', 30],
      ['containers:large', 20],
      ['model:m', 3],
      ['containers:other,small', 2],
    ],
  )
  const [small, large] = fleet.kinds.map(({ weight }) => weight) as [number, number]
  // What a request takes beside its job is the same for both, and much on a busy machine.
  assert.ok(large > small, `a large job weighs ${large}, a small one ${small}`)
  const factors = services.map(({ kinds }) => Object.keys(kinds).sort())
  assert.deepEqual(factors, [['containers:large', 'containers:other,small', 'containers:small'], ['model:m']])
})

test('what was learnt of backends and kinds of work is known again after a restart', async () => {
  const nodes = await Promise.all(
    [1, 10].map((slowness) =>
      startFakeNode({ containers: [{ id: 'echo', slowness }], concurrency: 4, rateLimit: 0 }, { after }),
    ),
  )
  const gateway = await gatewayFor({ after }, nodes, { STATE_URL: 'sqlite:data/gateway.db' })
  await repeat(10, () => Promise.all([1, 2, 3, 4].map(() => stream(gateway, ['echo'], { seconds: 0.02 }))))
  const before = await statsOf(gateway)
  await gateway.stop()
  await gateway.restart()
  await gateway.ready(2)
  const now = await statsOf(gateway)
  assert.equal(before.fleet.kinds[0]?.jobs, 40)
  assert.ok(now.fleet.kinds[0]!.jobs > 20 && now.fleet.kinds[0]!.jobs <= 40, JSON.stringify(now.fleet.kinds))
  for (const [index, { name, service_time }] of now.services.entries()) {
    const was = before.services[index]!
    assert.equal(name, was.name)
    // It fades with the seconds that the restart took, but a gateway that knew nothing would tell 1 s of both.
    assert.ok(Math.abs(service_time / was.service_time - 1) < 0.5, `${name}: ${was.service_time}, then ${service_time}`)
  }
})

test('jobs that fail or are refused teach nothing of their kind', async () => {
  const node = await startFakeNode({ containers: ['echo'] }, { after })
  const gateway = await gatewayFor({ after }, [node])
  await stream(gateway, ['echo'], {})
  await post(`${gateway.url}/api/jobs/stream`, jobOf({ pieces: 3, dieAfter: 1 })).catch(() => 0)
  await node.answer(500, 'stream')
  await stream(gateway, ['echo'], {})
  const { fleet } = await statsOf(gateway)
  assert.deepEqual(
    fleet.kinds.map(({ kind, jobs }) => [kind, jobs]),
    [['containers:echo', 1]],
  )
})

test('each kind goes to the node that is good at it', async () => {
  const good = ['first', 'second'] as const
  const nodes = await Promise.all(
    good.map((itsOwn) =>
      startFakeNode(
        { containers: good.map((id) => ({ id, slowness: id === itsOwn ? 1 : 8 })), concurrency: 8, rateLimit: 0 },
        { after },
      ),
    ),
  )
  const gateway = await gatewayFor({ after }, nodes)
  const client = (kind: string, times: number) => repeat(times, () => stream(gateway, [kind], { seconds: 0.05 }))
  // With few at a time each kind may stay at the one node where it began, and nothing is learnt of the other.
  const learning = [...good, ...good, ...good, ...good]
  await Promise.all(learning.map((kind) => client(kind, 20)))

  const { services } = await statsOf(gateway)
  for (const [i, kind] of good.entries()) {
    const factors = nodes.map(
      ({ address }) => services.find(({ name }) => name === address)?.kinds[`containers:${kind}`],
    )
    const [own = 1, other = 1] = i === 0 ? factors : factors.reverse()
    assert.ok(own < other, `${kind}: ${own} where it is fast, ${other} where it is slow`)
  }
  let well = 0
  nodes.forEach((node, i) => node.on('jobEnded', ({ containers }) => (well += containers[0] === good[i] ? 1 : 0)))
  await Promise.all([...good, ...good].map((kind) => client(kind, 20)))
  assert.ok(well > 56, `${well} of 80 jobs went to the node that is good at them`)
})
