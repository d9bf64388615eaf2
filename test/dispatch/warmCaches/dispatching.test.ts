import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Dispatcher } from '../../../src/dispatch/dispatcher.ts'
import { comparedKindOf } from '../../../src/dispatch/judge.ts'
import type { Lease } from '../../../src/dispatch/lease.ts'
import { requireModel } from '../../../src/dispatch/requirement.ts'
import { Selector, type SelectorOptions } from '../../../src/dispatch/selector.ts'
import { PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'
import type { Prompt } from '../../../src/dispatch/warmCaches/prompt.ts'
import type { WorkRequest } from '../../../src/dispatch/workRequest.ts'
import { parseAddress, type NodeSpec } from '../../../src/fleet/address.ts'
import type { Fleet } from '../../../src/fleet/fleet.ts'
import type { TrackedNode } from '../../../src/fleet/node.ts'
import { ListedNodes, newFleet } from '../../kit/builders/fleets.ts'

const NEVER = new AbortController().signal
const NEED = requireModel('m')

interface Site {
  readonly clock: { now: number }
  readonly fleet: Fleet
  readonly nodes: readonly TrackedNode[]
  readonly selector: Selector
  /** Takes a place for a request. */
  readonly take: (over?: Partial<WorkRequest>) => Promise<Lease>
  /** Takes a place at this service and gives it back: a prompt that was there before. */
  readonly warm: (node: TrackedNode, prompt: Prompt) => Promise<void>
  readonly list: (specs: readonly NodeSpec[]) => void
}

/** Healthy services of one model, and a clock that stands still. */
async function siteOf(t: TestContext, specs: readonly Partial<NodeSpec>[], options?: SelectorOptions): Promise<Site> {
  const clock = { now: 1000 }
  const services = specs.map((more, n): NodeSpec => {
    return { ...parseAddress(`127.0.0.1:${n + 1}`), kind: 'openai', models: ['m'], ...more }
  })
  const source = new ListedNodes(...services)
  const fleet = newFleet(t, [source], { now: () => clock.now })
  // They are not to be polled: what they are is said here.
  const started = fleet.start()
  fleet.stop()
  await started
  const nodes = [...fleet.nodes.values()]
  for (const node of nodes) {
    node.health.observe(true)
    node.learnModels([{ id: 'm', json: '{}' }], '/v1')
  }
  fleet.version++
  const selector = new Selector(fleet, undefined, { random: () => 0.99, ...options })
  const dispatcher = new Dispatcher(fleet, selector, { tellsReasons: true })
  const asked = { requirement: NEED, kind: comparedKindOf(NEED), caller: 'caller' }
  const take = (over: Partial<WorkRequest> = {}): Promise<Lease> =>
    dispatcher.acquire({ asked, cooldownKey: 'c', ...over }, NEVER)
  const warm = async (node: TrackedNode, prompt: Prompt): Promise<void> => {
    const lease = await take({ prompt, tried: new Set(nodes.filter((other) => other !== node)) })
    assert.equal(lease.node, node)
    end(lease, 'cancelled')
  }
  return { clock, fleet, nodes, selector, take, warm, list: (listed) => source.list(...listed) }
}

function end(lease: Lease, outcome: Parameters<Lease['workEnded']>[0] = 'success'): void {
  lease.exchangeEnded()
  lease.workEnded(outcome)
}

function promptOf(length: number, text = 'a'): Prompt {
  const chain = new PrefixChain()
  chain.add(text.repeat(Math.ceil(length / text.length)).slice(0, length))
  return { chain, historyCharacters: 0, conversation: 7, isNamedSession: false, isStreamed: true }
}

test('a second turn goes back to the service with the warm cache although another has less to do', async (t) => {
  const { nodes, take, warm } = await siteOf(t, [{}, {}, {}])
  await warm(nodes[1]!, promptOf(8000))
  const busy = [await take({ prompt: promptOf(8000) }), await take({ prompt: promptOf(8000) })]
  for (const { node } of busy) assert.equal(node, nodes[1])
  const lease = await take({ prompt: promptOf(9000) })
  assert.equal(lease.node, nodes[1])
  assert.match(lease.routing!, /^warm; /)
  assert.equal(lease.cacheUse?.warmCharacters, 7 * 1024)
})

test('with two services, too', async (t) => {
  const { nodes, take, warm } = await siteOf(t, [{}, {}])
  await warm(nodes[1]!, promptOf(8000))
  assert.equal((await take({ prompt: promptOf(8000) })).node, nodes[1])
  assert.equal((await take({ prompt: promptOf(8000, 'b') })).node, nodes[0])
})

test('a request without a prompt is chosen for as ever, with its session, and uses no cache', async (t) => {
  const { take } = await siteOf(t, [{}, {}, {}])
  const { node, routing, cacheUse } = await take({ session: 's' })
  assert.match(routing!, /^warm; /)
  assert.equal(cacheUse, undefined)
  for (let n = 0; n < 2; n++) assert.equal((await take({ session: 's' })).node, node)
  assert.match((await take()).routing!, /^least loaded; /)
})

test('where there is a prompt, it decides and not the session', async (t) => {
  const { nodes, take, warm } = await siteOf(t, [{}, {}, {}])
  const first = await take({ session: 's' })
  end(first)
  const other = nodes.find((node) => node !== first.node)!
  await warm(other, promptOf(8000))
  assert.equal((await take({ session: 's', prompt: promptOf(8000) })).node, other)
})

test('a lone service learns what it has, for others may come', async (t) => {
  const { nodes, take, list } = await siteOf(t, [{}, {}])
  const [kept, gone] = nodes as [TrackedNode, TrackedNode]
  list([kept.spec])
  const first = await take({ prompt: promptOf(8000) })
  assert.match(first.routing!, /^only one; /)
  end(first, 'cancelled')
  list([kept.spec, gone.spec])
  assert.equal((await take({ prompt: promptOf(8000) })).cacheUse?.warmCharacters, 7 * 1024)
})

test('a prompt makes no difference where one service alone has the model, but does while others that have it are away', async (t) => {
  const several = await siteOf(t, [{}, {}])
  assert.equal(several.selector.choosesByPrompt(NEED), true)
  several.nodes[0]!.isDrainedByHand = true
  several.fleet.version++
  assert.equal(several.selector.choosesByPrompt(NEED), true)
  assert.equal((await siteOf(t, [{}])).selector.choosesByPrompt(NEED), false)
  assert.equal((await siteOf(t, [{}, {}], { warmCaches: 'off' })).selector.choosesByPrompt(NEED), false)
})

test('a retry at another service says so, and what the first had to prefill is given back', async (t) => {
  const { nodes, selector, take } = await siteOf(t, [{}, {}])
  const first = await take({ prompt: promptOf(50_000) })
  end(first, 'failure')
  const second = await take({ prompt: promptOf(50_000), tried: new Set([first.node]) })
  assert.notEqual(second.node, first.node)
  assert.match(second.routing!, /^retried; /)
  end(second, 'cancelled')
  const [a, b] = selector.scores(NEED, { prompt: promptOf(1000, 'b') }, 2)
  assert.equal(a?.score, b?.score)
  assert.equal(nodes.length, 2)
})

test('a client that leaves before the first token or after it gives back what was to be prefilled', async (t) => {
  const { selector, take } = await siteOf(t, [{}, {}])
  const early = await take({ prompt: promptOf(50_000) })
  const late = await take({ prompt: promptOf(50_000, 'b') })
  assert.notEqual(early.node, late.node)
  late.cacheUse?.firstToken()
  end(late, 'cancelled')
  end(early, 'cancelled')
  const [a, b] = selector.scores(NEED, { prompt: promptOf(1000, 'c') }, 2)
  assert.equal(a?.score, b?.score)
})

test('a service that went down is cold when it is back', async (t) => {
  const { fleet, nodes, take, warm } = await siteOf(t, [{}, {}])
  await warm(nodes[1]!, promptOf(8000))
  fleet.emit('node:down', nodes[1]!, 'test')
  assert.equal((await take({ prompt: promptOf(8000) })).node, nodes[0])
})

test('so is one that was taken out of the list and comes back', async (t) => {
  const { fleet, nodes, take, warm, list } = await siteOf(t, [{}, {}])
  await warm(nodes[1]!, promptOf(8000))
  list([nodes[0]!.spec])
  list(nodes.map(({ spec }) => spec))
  assert.equal(fleet.nodes.size, 2)
  assert.equal((await take({ prompt: promptOf(8000) })).cacheUse?.warmCharacters, 0)
})

test('failures of late and the weight of a service count as much as they do without a prompt', async (t) => {
  const { clock, fleet, nodes, take, warm } = await siteOf(t, [{}, { weight: 4 }])
  assert.equal((await take({ prompt: promptOf(3000) })).node, nodes[1])
  await warm(nodes[1]!, promptOf(8000))
  nodes[1]!.load.failed(clock.now)
  assert.equal((await take({ prompt: promptOf(8000) })).node, nodes[0])
  assert.equal(fleet.nodes.size, 2)
})

test('scores are told best first, with a prompt and without', async (t) => {
  const { nodes, selector, take, warm } = await siteOf(t, [{}, {}, {}])
  await warm(nodes[2]!, promptOf(8000))
  const warmest = selector.scores(NEED, { prompt: promptOf(8000) }, 2)
  assert.equal(warmest.length, 2)
  assert.equal(warmest[0]!.node, nodes[2])
  assert.ok(warmest[0]!.score < warmest[1]!.score)
  const { node } = await take()
  const [first, , last] = selector.scores(NEED, {}, 3)
  assert.equal(last!.node, node)
  assert.ok(first!.score < last!.score)
})

test('benchmarks may do without the index, or without all of it', async (t) => {
  const noIndex = await siteOf(t, [{}, {}], { warmCaches: 'noIndex' })
  await noIndex.warm(noIndex.nodes[1]!, promptOf(8000))
  const cold = await noIndex.take({ prompt: promptOf(8000) })
  assert.deepEqual([cold.node, cold.cacheUse?.warmCharacters], [noIndex.nodes[0], 0])

  const off = await siteOf(t, [{}, {}], { warmCaches: 'off' })
  const lease = await off.take({ prompt: promptOf(8000), session: 's' })
  assert.equal(lease.cacheUse, undefined)
  assert.equal((await off.take({ prompt: promptOf(8000), session: 's' })).node, lease.node)
})

test('prompts are wanted where several services could take a request, or one of several that are listed', async (t) => {
  const two = await siteOf(t, [{}, {}])
  assert.equal(two.selector.choosesByPrompt(NEED), true)
  two.nodes[0]!.health.observe(false)
  two.nodes[0]!.health.observe(false)
  two.nodes[0]!.health.observe(false)
  two.fleet.version++
  assert.equal(two.selector.candidates(NEED).length, 1)
  assert.equal(two.selector.choosesByPrompt(NEED), true)
  assert.equal(two.selector.choosesByPrompt(requireModel('other')), false)
  const one = await siteOf(t, [{}])
  assert.equal(one.selector.choosesByPrompt(NEED), false)
  const off = await siteOf(t, [{}, {}], { warmCaches: 'off' })
  assert.equal(off.selector.choosesByPrompt(NEED), false)
})
