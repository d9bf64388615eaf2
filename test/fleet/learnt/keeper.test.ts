/** What was learnt of backends outlives the gateway: a new one goes on from it, as far as it has not faded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTurns } from '../../../src/base/turns.ts'
import type { Fleet } from '../../../src/fleet/fleet.ts'
import { documentOf, readDocument } from '../../../src/fleet/learnt/document.ts'
import { LearntKeeper } from '../../../src/fleet/learnt/keeper.ts'
import type { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { MemoryValues } from '../../../src/ledger/memory/values.ts'
import { ListedNodes, newFleet } from '../../kit/builders/fleets.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'

const HOUR = 3600

interface Run {
  readonly fleet: Fleet
  readonly keeper: LearntKeeper
  readonly loads: readonly NodeLoad[]
  /** Lets the monotonic clock of this run go on. */
  readonly pass: (seconds: number) => void
}

/** Two nodes, what is kept, and a wall clock; each run is a gateway of its own, whose monotonic clock begins anew. */
async function site(t: Cleanup) {
  const nodes = [await startFakeNode({}, t), await startFakeNode({}, t)]
  const values = new MemoryValues(() => {})
  const wall = { ms: Date.UTC(2030, 0, 1) }
  const run = async ({ isShared = false, begins = 1000 * Math.random(), up = true } = {}): Promise<Run> => {
    let now = begins
    const list = new ListedNodes(...nodes.map(({ url }) => url))
    const fleet = newFleet(t, [list], { now: () => now })
    const keeper = new LearntKeeper({ fleet, values, isShared, wallClock: () => wall.ms })
    await keeper.load()
    if (up) {
      await fleet.start()
      await eventually(() => [...fleet.nodes.values()].every(({ health }) => health.isHealthy))
    }
    const pass = (seconds: number): void => {
      now += seconds
      wall.ms += seconds * 1000
    }
    return { fleet, keeper, loads: [...fleet.nodes.values()].map(({ load }) => load), pass }
  }
  return { values, wall, run }
}

/** The first node serves in 2 s, the second in 8 s, at jobs of one kind even four times slower. */
function learn({ loads: [fast, slow], fleet, pass }: Run, rounds = 60): void {
  const serve = (load: NodeLoad, kind: string, seconds: number): void => {
    const mark = load.started(fleet.now(), kind)
    pass(seconds)
    load.ended(fleet.now(), { outcome: 'success', mark })
  }
  for (let round = 0; round < rounds; round++) {
    serve(fast!, 'plain', 2)
    serve(fast!, 'other', 2)
    serve(slow!, 'plain', 8)
    serve(slow!, 'other', 32)
  }
}

const secondsOf = ({ loads, fleet }: Run): number[] => loads.map((load) => load.serviceSeconds(fleet.now()))
const near = (actual: number, expected: number, within = 0.02): void =>
  assert.ok(Math.abs(actual / expected - 1) < within, `${actual} is not near ${expected}`)

test('a gateway that starts knows its backends as the one before did', async (t) => {
  const { wall, run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  wall.ms += 3000
  const after = await run()
  secondsOf(after).forEach((seconds, index) => near(seconds, secondsOf(before)[index]!))
  near(after.fleet.loads.infernet.serviceSeconds, before.fleet.loads.infernet.serviceSeconds)
  assert.deepEqual(
    after.loads.map(({ concurrency }) => concurrency),
    before.loads.map(({ concurrency }) => concurrency),
  )
  for (const name of ['plain', 'other']) {
    const [kind, was] = [after, before].map(({ fleet }) => fleet.loads.infernet.kinds.find(name)!)
    near(kind!.weight, was!.weight)
    near(after.loads[1]!.learntFactor(kind!)!, before.loads[1]!.learntFactor(was!)!, 0.05)
  }
})

test('what was learnt fades by the wall clock while no gateway runs, and after a week it weighs nothing', async (t) => {
  const { wall, run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  const mean = before.fleet.loads.infernet.serviceSeconds
  wall.ms += 600_000
  const later = secondsOf(await run())
  assert.ok(later[0]! > secondsOf(before)[0]! && later[0]! < mean, `${later[0]} is not drawn to ${mean}`)
  wall.ms += 7 * 24 * HOUR * 1000
  assert.deepEqual(secondsOf(await run()), [1, 1])
})

test('a wall clock that was set back makes nothing young: what lies ahead of it is left alone', async (t) => {
  const { wall, run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  wall.ms -= 30_000
  near(secondsOf(await run())[0]!, secondsOf(before)[0]!)
  wall.ms -= HOUR * 1000
  assert.deepEqual(secondsOf(await run()), [1, 1])
})

test('a node that goes away and comes back after the start is learnt anew', async (t) => {
  const { run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  const after = await run()
  after.loads[0]!.recovered(after.fleet.now())
  assert.equal(secondsOf(after)[0], after.fleet.loads.infernet.serviceSeconds)
})

test('what is kept of nodes that have not been seen yet is kept on, but does not become younger', async (t) => {
  const { wall, run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  for (let restart = 0; restart < 3; restart++) {
    const unseen = await run({ up: false })
    unseen.pass(50)
    await unseen.keeper.stop()
    wall.ms += 50_000
  }
  const evidence = Math.exp(-300 / 300)
  const [fast] = secondsOf(await run())
  const mean = before.fleet.loads.infernet.serviceSeconds
  assert.ok(
    fast! > secondsOf(before)[0]! * 1.01 && fast! < mean / 2,
    `${fast}: ${evidence} of the evidence should be left`,
  )
})

test('nothing that is not what a gateway wrote is taken up', async (t) => {
  const { values, run } = await site(t)
  const before = await run()
  learn(before)
  await before.keeper.stop()
  const good = JSON.parse(String(await values.get('learnt'))) as Record<string, unknown>
  const [[key, service] = []] = good['nodes'] as [string, number[]][]
  const foreign: unknown[] = [
    ...['', '{', 'null', '[]', '7', '{}', Buffer.from([0xff, 0])],
    ...[
      { ...good, v: 2 },
      { ...good, at: '2030' },
      { ...good, at: null },
      { ...good, by: 7 },
    ],
    ...[7, {}, [null], [7], [[]], [[key]], [[key, []]], [[key, [1, 2, 3]]], [[7, service, 3]]].map((nodes) => ({
      ...good,
      fleets: nodes,
      nodes,
    })),
    {
      ...good,
      fleets: { infernet: [[1], [1, 2], []], openai: 7 },
      nodes: [[key, service!.map(() => -1), -1, [1], [2], [[1]]]],
    },
    { ...good, fleets: {}, nodes: [[key, [1e308, 1e-308, -1e308, 1e308, -1e308], 1e308, null, null, []]] },
  ]
  for (const value of foreign) {
    const isText = typeof value === 'string' || Buffer.isBuffer(value)
    await values.set('learnt', isText ? value : JSON.stringify(value))
    const after = await run()
    for (const seconds of secondsOf(after)) assert.ok(Number.isFinite(seconds) && seconds > 0, `${seconds}`)
    assert.deepEqual(secondsOf(after), [1, 1], JSON.stringify(value))
    learn(after, 1)
    for (const load of after.loads) assert.ok(Number.isFinite(load.score(after.fleet.now())))
  }
})

test('a ledger that cannot be asked is done without', async (t) => {
  const fleet = newFleet(t, [])
  const away = { get: () => Promise.reject(new Error('away')), set: () => Promise.reject(new Error('away')) }
  const keeper = new LearntKeeper({ fleet, values: away, isShared: true })
  await keeper.load()
  await keeper.stop()
})

test('of several gateways the one that has learnt most is kept, until that has faded', async (t) => {
  const { run } = await site(t)
  const busy = await run({ isShared: true })
  const idle = await run({ isShared: true })
  learn(idle, 2)
  learn(busy)
  await busy.keeper.stop()
  await idle.keeper.stop()
  near(secondsOf(await run())[1]!, secondsOf(busy)[1]!)
  idle.pass(2 * HOUR)
  learn(idle, 2)
  await idle.keeper.stop()
  near(secondsOf(await run())[1]!, secondsOf(idle)[1]!)
})

test('of ten thousand nodes as many are kept as fit, those that have learnt most first', async () => {
  const nodes = Array.from({ length: 10_000 }, (_, index) => {
    const service = [100 / 3, 200 - index / 100, 0, 1, 0]
    return [
      `http://10.1.${index}.1:4000`,
      { service, concurrency: 3, ends: undefined, usual: undefined, kinds: [] },
    ] as const
  })
  const document = await inTurns(documentOf({ at: 1, by: 'x', fleets: {}, nodes }))
  assert.ok(document.length <= 256 * 1024 && document.length > 200_000, `${document.length}`)
  const read = readDocument(Buffer.from(document))!
  assert.ok(read.nodes.length > 2000)
  assert.deepEqual(
    read.nodes.map(([key]) => key),
    nodes.slice(0, read.nodes.length).map(([key]) => key),
  )
})
