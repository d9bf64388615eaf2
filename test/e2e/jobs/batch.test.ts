/** Batches: checked, split and sent side by side, answered in order; no item spoils another. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf, subscriptionFor } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { SharedGateway } from './site.ts'
import { afterSuite, assertEchoed, ended, optionsOf, runsOn, type From, type Target } from './support.ts'

type ItemAnswer = { id?: string; error?: string; params?: object }

function batch(target: Target, body: object | string, from: From = {}): Promise<Answer> {
  return post(`${target.url}/api/jobs/batch`, body, optionsOf(target, from))
}

async function accepted(target: Target, items: readonly object[], from: From = {}): Promise<string[]> {
  const answer = await batch(target, [...items], from)
  assert.equal(answer.status, 200, answer.text)
  const ids = answer.json<ItemAnswer[]>().map(({ id }) => id)
  assert.ok(
    ids.every((id) => id !== undefined),
    answer.text,
  )
  return ids
}

describe('a batch', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let left: LocalFakeNode
  let right: LocalFakeNode
  let both: LocalFakeNode

  before(async () => {
    left = await startFakeNode({ rateLimit: 0, containers: ['echo', 'left'], concurrency: 50 }, cleanup)
    right = await startFakeNode({ rateLimit: 0, containers: ['echo', 'right'], concurrency: 50 }, cleanup)
    both = await startFakeNode({ rateLimit: 0, containers: ['echo'], chain: true, concurrency: 50 }, cleanup)
    gateway = await gatewayFor(cleanup, [left, right, both])
  })

  test('is split by container, answered in order, and its jobs are the caller’s', async () => {
    const containers = ['left', 'right', 'echo', 'right', 'left', 'echo']
    const ids = await accepted(
      gateway,
      containers.map((container, n) => jobOf({ n }, [container])),
    )
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => {
      const container = containers[n]!
      assert.equal(entry.result?.container, container)
      assert.deepEqual(entry.result?.output, { container, echo: { n } })
    })
    const ranOn = async (node: LocalFakeNode): Promise<string[]> =>
      (await node.jobs()).flatMap((trace) => trace.containers).filter((id) => id !== 'echo')
    assert.deepEqual(await ranOn(left), ['left', 'left'])
    assert.deepEqual(await ranOn(right), ['right', 'right'])
  })

  test('is spread over the nodes by their load', async () => {
    const before = await Promise.all([left, right, both].map((node) => runsOn([node])))
    const ids = await accepted(
      gateway,
      Array.from({ length: 30 }, (_, n) => jobOf({ n })),
    )
    await ended(gateway, ids)
    const after = await Promise.all([left, right, both].map((node) => runsOn([node])))
    for (const [i, count] of after.entries()) assert.ok(count - before[i]! >= 5, `one node got ${count - before[i]!}`)
  })

  test('goes to its nodes as the bytes that came', async () => {
    const items = [
      '{ "containers":["left"],"data":{"big":123456789012345678901234567890, "e":1e3} }',
      '{"data":{"nan":NaN,"u":"\\u00fc"},"containers" : ["left"], "requires_proof":null}',
    ]
    const seen = left.seen('batch').length
    const answer = await batch(gateway, ` [ ${items.join(' ,\n')} ] `)
    assert.equal(answer.json<ItemAnswer[]>().length, 2)
    const [sent] = left.seen('batch').slice(seen)
    for (const item of items) assert.ok(sent!.text.includes(item), sent!.text)
    assert.equal(sent!.header('content-type'), 'application/json')
  })

  test('has a bad item’s error in its place, and the others accepted', async () => {
    const answer = await batch(gateway, [
      jobOf({ n: 0 }),
      { containers: ['echo'] },
      { ...jobOf({}), id: 'forged' },
      jobOf({}, ['nowhere']),
      jobOf({}, []),
      7,
      jobOf({ n: 6 }),
    ])
    assert.equal(answer.status, 200)
    const items = answer.json<ItemAnswer[]>()
    assert.equal(items.length, 7)
    for (const n of [1, 2, 3, 4, 5]) assert.equal(typeof items[n]!.error, 'string', JSON.stringify(items[n]))
    assert.deepEqual(items[3], { error: 'Container not supported', params: { container: 'nowhere' } })
    assert.deepEqual(items[4], { error: 'No containers specified', params: {} })
    const entries = await ended(gateway, [items[0]!.id!, items[6]!.id!])
    assertEchoed(entries[0], { n: 0 })
    assertEchoed(entries[1], { n: 6 })
  })

  test('of nothing is answered with nothing, and what is no list with 400', async () => {
    assert.equal((await batch(gateway, '[]')).text, '[]')
    for (const body of ['{}', 'null', '"text"', '7', JSON.stringify(jobOf({}))]) {
      assert.equal(assertError(await batch(gateway, body), 400), 'Expected a list')
    }
    assertError(await batch(gateway, '[1,'), 400)
  })

  test('has its subscriptions sent one by one, since one could spoil the rest', async () => {
    const subscription = subscriptionFor(['echo'])
    const expired = subscriptionFor(['echo'], { expiry: 1 })
    const answer = await batch(gateway, `[${JSON.stringify(jobOf({}))},${subscription},${expired}]`)
    const items = answer.json<ItemAnswer[]>()
    assert.equal(typeof items[0]!.id, 'string')
    assert.deepEqual(items[1], {})
    // The node fails to say why; its own words stand in the item's place.
    assert.match(items[2]!.error ?? '', /^Internal server error: /)
    assert.deepEqual(
      // Side by side, so in any order.
      new Set(both.seen('submit').map(({ text }) => text)),
      new Set([subscription, expired]),
    )
  })
})

describe('a batch and failing nodes', { concurrency: 3 }, () => {
  const shared = new SharedGateway({ REFRESH_INTERVAL: '60' })

  test('items move on from a node that pushes back, refuses or is gone', async (t) => {
    const site = shared.site(t)
    const [busy, choosy] = await site.nodes(2)
    const [fine] = await site.nodes(1, { concurrency: 50 })
    const dead = await site.process()
    await busy!.pushBack('batch')
    // It no longer runs the container by the time the batch comes.
    await choosy!.set({ containers: ['other'] })
    await dead.kill()
    const ids = await accepted(
      site,
      Array.from({ length: 12 }, (_, n) => jobOf({ n }, [site.container])),
    )
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n }))
    assert.equal(await runsOn([fine!]), 12)
    assert.ok(busy!.seen('batch').length > 0 && choosy!.seen('batch').length > 0)
  })

  test('items of a connection that is reset are not sent again, unless there is an Idempotency-Key', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2, { concurrency: 50 })
    await nodes[0]!.break('batch', { runs: true })
    const items = Array.from({ length: 6 }, (_, n) => jobOf({ n }, [site.container]))
    const plain = (await batch(site, items)).json<ItemAnswer[]>()
    const lost = plain.filter(({ error }) => error !== undefined)
    assert.ok(lost.length > 0 && lost.length < 6)
    assert.equal(lost.length, await runsOn([nodes[0]!]))
    await accepted(site, items, { headers: { 'Idempotency-Key': 'again' } })
  })

  test('that many nodes served names twenty of them: clients take no header of any length', async (t) => {
    const site = shared.site(t)
    const containers = Array.from({ length: 23 }, (_, n) => `${site.container}-${n}`)
    const start = (container: string): Promise<LocalFakeNode> => startFakeNode({ containers: [container] }, t)
    await site.list(...(await Promise.all(containers.map(start))))
    const items = containers.map((container) => jobOf({}, [container]))
    await accepted(site, items)
    const named = (await batch(site, items)).headers['x-infernet-node'] as string
    assert.match(named, /^(127\.0\.0\.1:\d+, ){19}127\.0\.0\.1:\d+ and 3 more$/)
  })

  test('where all nodes push back, the whole batch is 429 with Retry-After', async (t) => {
    const site = shared.site(t)
    for (const node of await site.nodes(2)) await node.pushBack('batch', { retryAfter: 0 })
    const answer = await batch(site, [jobOf({}, [site.container]), jobOf({}, [site.container])])
    assertError(answer, 429)
    assert.equal(answer.headers['retry-after'], '1')
  })

  test('items that wait for different nodes: the batch names the least Retry-After', async (t) => {
    const site = shared.site(t)
    const containers = ['later', 'sooner'].map((name) => `${site.container}-${name}`)
    for (const [n, retryAfter] of [9, 4].entries()) {
      const [node] = await site.nodes(1, { containers: [containers[n]!] })
      await node!.pushBack('batch', { retryAfter })
    }
    const answer = await batch(
      site,
      containers.map((container) => jobOf({}, [container])),
    )
    assertError(answer, 429)
    assert.equal(answer.headers['retry-after'], '4')
  })

  test('where all nodes turn the whole away alike, the answer is theirs, as for a single job', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    const items = [jobOf({}, [site.container]), jobOf({}, [site.container])]
    for (const status of [503, 500]) {
      for (const node of nodes) await node.answer(status, 'batch', { body: '{"error":"not today"}' })
      const answer = await batch(site, items)
      assert.equal(assertError(answer, status), 'not today')
      assert.ok(nodes.some(({ address }) => address === answer.headers['x-infernet-node']))
    }
    // One that is refused for its own sake is told so in its place.
    const answer = await batch(site, [...items, jobOf({}, [])])
    assert.equal(answer.status, 200)
    assert.deepEqual(
      answer.json<ItemAnswer[]>().map(({ error }) => error),
      ['not today', 'not today', 'No containers specified'],
    )
  })
})
