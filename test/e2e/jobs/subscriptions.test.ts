/** Delegated subscriptions: to a chain-enabled node that runs what they name by hash; sent once. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { BIG, subscriptionFor } from '../../kit/builders/jobs.ts'
import { request } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { SharedGateway } from './site.ts'
import { afterSuite, listed, submitTo } from './support.ts'

describe('delegated subscriptions', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let offChain: LocalFakeNode
  let ab: LocalFakeNode
  let c: LocalFakeNode

  before(async () => {
    offChain = await startFakeNode({ rateLimit: 0, containers: ['a', 'b', 'c'] }, cleanup)
    ab = await startFakeNode({ rateLimit: 0, containers: ['a', { id: 'b', external: false }], chain: true }, cleanup)
    c = await startFakeNode({ rateLimit: 0, containers: ['c'], chain: true }, cleanup)
    gateway = await gatewayFor(cleanup, [offChain, ab, c])
  })

  test('go to a chain-enabled node that runs the containers named by the hash, byte for byte', async () => {
    for (const [containers, node] of [
      [['a', 'b'], ab],
      [['a'], ab],
      [['c'], c],
    ] as const) {
      const body = subscriptionFor(containers, { note: containers.join(' ') })
      const answer = await submitTo(gateway, body)
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(answer.json(), {})
      assert.equal(answer.headers['x-infernet-node'], node.address)
      assert.equal(node.seen('submit').at(-1)!.text, body)
    }
    assert.ok(c.seen('submit').at(-1)!.text.includes(`"r":${BIG}`))
    assert.deepEqual(offChain.seen('submit'), [])
    // They have no id, so there is nothing to list.
    assert.deepEqual(await listed(gateway), [])
  })

  test('members that a node passes over go with it', async () => {
    const body = subscriptionFor(['c']).replace('{', '{"extra" : 1.50,"type_":null,')
    assert.deepEqual((await submitTo(gateway, body)).json(), {})
    assert.equal(c.seen('submit').at(-1)!.text, body)
  })

  test('the hash may be in capitals, and without its 0x', async () => {
    const hash = /"containers":"0x([0-9a-f]{64})"/.exec(subscriptionFor(['c']))![1]!
    for (const spelling of [hash, `0x${hash.toUpperCase()}`]) {
      const answer = await submitTo(gateway, subscriptionFor(spelling))
      assert.equal(answer.headers['x-infernet-node'], c.address, spelling)
    }
  })

  test('a hash that nobody knows goes to any chain-enabled node, whose answer stands', async () => {
    const answer = await submitTo(gateway, subscriptionFor(`0x${'ab'.repeat(32)}`))
    assert.equal(answer.status, 500)
    assert.deepEqual(answer.json(), { error: 'Internal server error: list index out of range' })
    assert.ok([ab.address, c.address].includes(String(answer.headers['x-infernet-node'])))
  })

  test('on a stream they are 405, as at a node, and reach none', async () => {
    const before = c.seen('stream').length
    const answer = await request(`${gateway.url}/api/jobs/stream`, { method: 'POST', body: subscriptionFor(['c']) })
    assert.equal(assertError(answer, 405), 'Streaming only supported for OffchainJob requests.')
    assert.equal(c.seen('stream').length, before)
  })
})

describe('delegated subscriptions and failing nodes', () => {
  const shared = new SharedGateway({ REFRESH_INTERVAL: '60' })

  test('where no node has its chain enabled they are 503', async (t) => {
    const site = shared.site(t)
    await site.nodes(1)
    const answer = await submitTo(site, subscriptionFor([site.container]))
    assertError(answer, 503)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  })

  test('are sent once: a reset, a refusal or a pushback ends it, with or without an Idempotency-Key', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(3, { chain: true })
    const body = subscriptionFor([site.container])
    const sent = (): number => nodes.reduce((sum, node) => sum + node.seen('submit').length, 0)
    const headersOf: Record<string, string>[] = [{}, { 'Idempotency-Key': 'once' }]
    for (const headers of headersOf) {
      for (const node of nodes) await node.break('submit')
      let before = sent()
      assertError(await submitTo(site, body, { headers }), 502)
      assert.equal(sent(), before + 1)
      for (const node of nodes) await node.behave()

      for (const node of nodes) await node.pushBack('submit')
      before = sent()
      assertError(await submitTo(site, body, { headers, from: '127.0.0.9' }), 429)
      assert.equal(sent(), before + 1)
      for (const node of nodes) await node.behave()
    }
    // Once accepted under a key, the answer stands.
    const key = { headers: { 'Idempotency-Key': 'taken' }, from: '127.0.0.10' }
    const before = sent()
    for (let n = 0; n < 2; n++) assert.equal((await submitTo(site, body, key)).text.trim(), '{}')
    assert.equal(sent(), before + 1)
  })

  test('go to another node when nothing could be sent', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2, { chain: true })
    await nodes[0]!.refuse()
    for (let n = 0; n < 4; n++) assert.equal((await submitTo(site, subscriptionFor([site.container]))).status, 200)
    assert.equal(nodes[1]!.seen('submit').length, 4)
  })
})
