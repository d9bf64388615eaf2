import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { FleetLoad } from '../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../src/fleet/load/nodeLoad.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { MemoryBudget } from '../../src/base/memory/budget.ts'
import { Resources, type NodeAnswer } from '../../src/lookup/resources.ts'
import { Transport } from '../../src/upstream/transport.ts'
import { TEST_IDENTITY, trackedNode } from '../kit/builders/fleets.ts'
import { serve } from '../kit/serve.ts'

interface Kit {
  resources: Resources
  nodes: TrackedNode[]
  /** Lets so many seconds pass for the freshness of answers. */
  pass: (seconds: number) => void
}

/** So many nodes, all at one server. */
async function startNodes(t: TestContext, count: number, listener: RequestListener): Promise<Kit> {
  const address = await serve(t, listener)
  const transport = new Transport({ connectTimeoutSeconds: 5, answerTimeoutSeconds: 60, idleTimeoutSeconds: 60 })
  t.after(() => transport.close())
  const fleet = new FleetLoad()
  const nodes = Array.from({ length: count }, (_, i) => trackedNode(`http://${address}/n${i}`, new NodeLoad(fleet)))
  let now = 0
  return {
    nodes,
    resources: new Resources(transport, new MemoryBudget(1e9), TEST_IDENTITY, () => now),
    pass: (seconds) => (now += seconds),
  }
}

test('a large fleet is asked 64 nodes at a time', async (t) => {
  let open = 0
  let most = 0
  const { resources, nodes } = await startNodes(t, 300, (_request, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.end('{"echo":{}}')
    }, 10)
  })
  assert.equal((await resources.of(nodes, undefined, 30)).length, 300)
  assert.ok(most <= 64, `${most} at once`)
})

test('nodes that hang do not hold up the others for long', async (t) => {
  const { resources, nodes } = await startNodes(t, 70, (request, response) => {
    if (request.url === '/n69/resources') response.end('{"echo":{}}')
  })
  assert.deepEqual(
    (await resources.of(nodes, undefined, 3)).map(({ node }) => node),
    [nodes[69]],
  )
})

test('what all nodes of a large fleet said is kept, for a model too, and none is asked twice at once', async (t) => {
  const asked = new Map<string, number>()
  const { resources, nodes } = await startNodes(t, 2_600, (request, response) => {
    const url = request.url as string
    asked.set(url, (asked.get(url) ?? 0) + 1)
    response.end('{"echo":{}}')
  })
  for (const model of [undefined, 'm']) {
    const both = await Promise.all([resources.of(nodes, model, 60), resources.of(nodes, model, 60)])
    assert.deepEqual(
      both.map(({ length }) => length),
      [2_600, 2_600],
    )
  }
  assert.equal((await resources.of(nodes, undefined, 0)).length, 2_600)
  assert.equal(asked.size, 5_200)
  assert.equal(Math.max(...asked.values()), 1)
})

test('a node that pushes back is left alone for as long as it says, and what it said before stands', async (t) => {
  let asked = 0
  const { resources, nodes, pass } = await startNodes(t, 1, (_request, response) => {
    if (++asked !== 1) response.writeHead(429, { 'Retry-After': '5' })
    response.end('{"echo":{}}')
  })
  for (const [seconds, calls] of [
    [0, 1],
    [0.9, 1],
    [0.2, 2],
    [4.9, 2],
    [0.2, 3],
  ] as const) {
    pass(seconds)
    assert.equal((await resources.of(nodes, undefined, 30)).length, 1)
    assert.equal(asked, calls)
  }
})

test('what is nested too deep to be written again is not taken', async (t) => {
  const deep = '['.repeat(5000) + ']'.repeat(5000)
  const { resources, nodes } = await startNodes(t, 2, (request, response) => {
    response.end(request.url === '/n0/resources' ? `{"echo":{"x":${deep}}}` : '{"echo":{}}')
  })
  assert.deepEqual(
    (await resources.of(nodes, undefined, 30)).map(({ node }) => node),
    [nodes[1]],
  )
})

test('what is no plain JSON is not taken: it would spoil the answers of all others', async (t) => {
  const answers = ['{"echo":{"x":NaN}}', '{"echo":{"x":-Infinity}}', '{"echo":1}', '[{}]', '{"echo":{}} ']
  const { resources, nodes } = await startNodes(t, answers.length, (request, response) => {
    response.end(answers[Number(/\d+/.exec(request.url ?? '')?.[0])])
  })
  assert.deepEqual(
    (await resources.of(nodes, undefined, 30)).map(({ node }) => node),
    [nodes[4]],
  )
})

test('what is kept is bounded by its bytes: the oldest answers go first', async (t) => {
  const long = `{"echo":{"x":"${'x'.repeat(900_000)}"}}`
  const { resources, nodes } = await startNodes(t, 1, (_request, response) => response.end(long))
  const askedFor = async (model: string): Promise<readonly NodeAnswer[]> => resources.of(nodes, model, 30)
  const all: NodeAnswer[] = []
  for (let n = 0; n < 100; n++) all.push(...(await askedFor(`m${n}`)))
  const bytes = all.reduce((sum, { answer }) => sum + (answer?.length ?? 0), 0)
  assert.ok(bytes > 32_000_000 && bytes <= 64_000_000, `${bytes} bytes`)
  assert.equal(all[0]?.answer, undefined)
  assert.equal(all[99]?.answer?.toString(), long)
})

test('an answer of more than a megabyte is not taken', async (t) => {
  const { resources, nodes } = await startNodes(t, 1, (_request, response) => {
    response.end(`{"echo":{"x":"${'x'.repeat(1_000_000)}"}}`)
  })
  assert.deepEqual(await resources.of(nodes, undefined, 30), [])
})
