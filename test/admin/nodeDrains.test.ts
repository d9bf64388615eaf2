import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NodeDrains } from '../../src/admin/nodeDrains.ts'
import type { Fleet } from '../../src/fleet/fleet.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import type { SharedLedger } from '../../src/ledger/ledger.ts'
import type { ReplicaState } from '../../src/replicas/index.ts'
import { ListedNodes, startFleet } from '../kit/builders/fleets.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { keepLines, type KeptLine } from '../fleet/sources/logLines.ts'
import { ScriptedValues } from '../replicas/scriptedValues.ts'

const FIRST = '127.0.0.1:9'
const SECOND = '127.0.0.2:9'

interface Replica {
  readonly drains: NodeDrains
  readonly fleet: Fleet
  readonly node: TrackedNode
  readonly list: ListedNodes
  readonly lines: readonly KeptLine[]
  /** What all share. */
  readonly values: ScriptedValues
}

/** Gateways that share a ledger, each with a fleet of its own of the same nodes. */
async function startReplicas(t: Cleanup, states: readonly ReplicaState[]): Promise<Replica[]> {
  const { values: kept } = new MemoryLedger({ maxBytes: 1e6, ttlMs: 1e6 })
  const values = new ScriptedValues()
  return Promise.all(
    states
      .filter(({ state }) => state !== 'gone')
      .map(async ({ replica: self }) => {
        const list = new ListedNodes(FIRST, SECOND)
        const { logger, lines } = keepLines()
        const shared = { coordination: { values, membership: { self, replicas: states } } } as unknown as SharedLedger
        const fleet = await startFleet(t, [list])
        const drains = new NodeDrains({
          fleet,
          ledger: { values: kept, shared },
          logger,
          lookEveryMs: 5,
          settleMs: 100,
        })
        t.after(() => drains.stop())
        await drains.start()
        const node = [...fleet.nodes.values()][0]!
        return { drains, fleet, node, list, lines, values }
      }),
  )
}

const alive = (replica: string): ReplicaState => ({ replica, jobs: 0, state: 'alive' })

describe('a node that is drained by hand', () => {
  test('gets no new work at any gateway that shares the ledger, and is drained when all have ended theirs', async (t) => {
    const [a, b] = (await startReplicas(t, [alive('a'), alive('b')])) as [Replica, Replica]
    const mark = b.node.load.started(b.fleet.now())
    await a.drains.drain(FIRST)
    assert.equal(a.node.isDraining, true)
    assert.equal(a.drains.stateOf(a.node), 'draining')
    await eventually(() => b.node.isDraining)
    assert.deepEqual(
      b.drains.nodes.map(({ name }) => name),
      [FIRST],
    )
    // By then both have told each other several times.
    const { version } = b.fleet
    const told = b.values.calls
    await eventually(() => b.values.calls > told + 20)
    assert.deepEqual(
      [a, b].map(({ drains, node }) => drains.stateOf(node)),
      ['draining', 'draining'],
    )
    b.node.load.ended(b.fleet.now(), { outcome: 'success', mark })
    await eventually(() => a.drains.stateOf(a.node) === 'drained' && b.drains.stateOf(b.node) === 'drained')
    const lifeOf = [/gets no new work/, /may be switched off/]
    for (const { lines } of [a, b]) lines.forEach(({ message }, n) => assert.match(message, lifeOf[n]!))
    await b.drains.undrain(FIRST)
    await eventually(() => !a.node.isDraining && a.drains.stateOf(a.node) === null)
    assert.ok(b.fleet.version > version)
  })

  test('is not drained while jobs of a gateway that is gone may be there', async (t) => {
    const gone: ReplicaState = { replica: 'gone', jobs: 1, state: 'gone' }
    const states = [alive('a'), gone]
    const [a] = (await startReplicas(t, states)) as [Replica]
    await a.drains.drain(FIRST)
    // It is told of another node meanwhile, which shows that it has looked.
    await a.drains.drain(SECOND)
    await eventually(() => a.lines.length === 2)
    assert.equal(a.drains.stateOf(a.node), 'draining')
    states.pop()
    await eventually(() => a.drains.stateOf(a.node) === 'drained')
  })

  test('is so again when it is back in the list, and can be taken back while it is not', async (t) => {
    const [a] = (await startReplicas(t, [alive('a')])) as [Replica]
    await a.drains.drain(FIRST)
    a.list.list(SECOND)
    a.list.list(FIRST, SECOND)
    const isDraining = (): boolean => [...a.fleet.nodes.values()].find(({ name }) => name === FIRST)!.isDraining
    assert.equal(isDraining(), true)
    a.list.list(SECOND)
    assert.deepEqual(await a.drains.undrain(FIRST), [])
    a.list.list(FIRST, SECOND)
    assert.equal(isDraining(), false)
  })

  test('commands of several gateways at a time are all kept', async (t) => {
    const [a, b] = (await startReplicas(t, [alive('a'), alive('b')])) as [Replica, Replica]
    await Promise.all([a.drains.drain(FIRST), b.drains.drain(SECOND)])
    await eventually(() => a.drains.nodes.length === 2 && b.drains.nodes.length === 2)
  })
})

describe('a node that no list names any more', () => {
  test('is not to be switched off while another gateway has work there', async (t) => {
    const [a, b] = (await startReplicas(t, [alive('a'), alive('b')])) as [Replica, Replica]
    const mark = b.node.load.started(b.fleet.now())
    for (const { list } of [a, b]) list.list(SECOND)
    const told = b.values.calls
    await eventually(() => b.values.calls > told + 100)
    assert.deepEqual(
      [a, b].map(({ drains, node }) => drains.stateOf(node)),
      ['draining', 'draining'],
    )
    b.node.load.ended(b.fleet.now(), { outcome: 'success', mark })
    await eventually(() => [a, b].every(({ drains, node }) => !drains.leaving.includes(node)))
    for (const { lines } of [a, b]) assert.match(lines.at(-1)!.message, /may be switched off/)
  })

  test('is shown after a restart until its jobs have ended', async (t) => {
    const [a] = (await startReplicas(t, [alive('a')])) as [Replica]
    const node = a.fleet.adopt({ ...a.node.spec, key: 'http://127.0.0.3:9', origin: 'http://127.0.0.3:9' })
    const mark = node.load.started(a.fleet.now())
    const told = a.values.calls
    await eventually(() => a.values.calls > told + 100)
    assert.deepEqual(a.drains.leaving, [node])
    node.load.ended(a.fleet.now(), { outcome: 'success', mark })
    await eventually(() => a.drains.leaving.length === 0)
    assert.match(a.lines.at(-1)!.message, /may be switched off/)
  })
})
