/** Streams as jobs: their id is on record before the client sees it, and their end is what the node says. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { SharedGateway } from './site.ts'
import {
  afterSuite,
  assertFailed,
  ended,
  entriesOf,
  listed,
  optionsOf,
  runsOn,
  startNodes,
  type Target,
} from './support.ts'

const A = { from: '127.0.0.5' }

function stream(target: Target, data: object): Promise<OpenStream> {
  return openStream(`${target.url}/api/jobs/stream`, {
    body: jobOf(data, [target.container ?? 'echo']),
    ...optionsOf(target, target.from === undefined ? A : {}),
  })
}

async function idOf(open: OpenStream): Promise<string> {
  return (await open.until((text) => text.includes('\n'))).split('\n')[0]!
}

describe('a stream', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let nodes: LocalFakeNode[]

  before(async () => {
    nodes = await startNodes(cleanup, 2)
    gateway = await gatewayFor(cleanup, nodes)
  })

  test('has its id on record, unchanged, by the time the client has it', async () => {
    const open = await stream(gateway, { pieces: ['a', 'b'], firstMs: 1500 })
    const id = await idOf(open)
    const traces = await Promise.all(nodes.map((node) => node.jobs()))
    assert.equal(traces.flat().at(-1)!.id, id)
    assert.deepEqual(await entriesOf(gateway, [id], A), [{ id, status: 'running', result: null }])
    assert.ok((await listed(gateway, '?pending=true', A)).includes(id))
    await open.ended
    assert.equal(open.text, `${id}\nab`)
    const [entry] = await ended(gateway, [id], A)
    assert.deepEqual(entry, { id, status: 'success', result: { container: 'echo', output: { output: 'ab' } } })
  })

  test('that fails midway ends as at a node, and its job says so', async () => {
    const open = await stream(gateway, { pieces: 5, failAfter: 2, fail: 'out of memory' })
    assert.equal((await open.ended).complete, true)
    const [entry] = await ended(gateway, [await idOf(open)], A)
    assert.deepEqual([entry?.status, entry?.result], ['failed', { container: 'echo', error: 'out of memory' }])
  })

  test('that its client leaves is not run again, and stays running as long as its node says nothing', async () => {
    const open = await stream(gateway, { pieces: 100, pieceMs: 50 })
    const id = await idOf(open)
    const left = Promise.race(nodes.map((node) => node.next('clientLeft')))
    open.destroy()
    await left
    // As at a node, which says nothing of it before its record expires.
    assert.deepEqual(await entriesOf(gateway, [id], A), [{ id, status: 'running', result: null }])
  })
})

describe('a stream and a failing node', { concurrency: 2 }, () => {
  const shared = new SharedGateway()

  test('is cut with its node, never run again, and failed once the node is back without it', async (t) => {
    const site = shared.site(t)
    const dying = await site.process()
    const open = await stream(site, { pieces: 100, pieceMs: 100 })
    const id = await idOf(open)
    const others = await site.nodes(1)
    await dying.kill()
    assert.equal((await open.ended).complete, false)
    assert.equal((await entriesOf(site, [id]))[0]?.status, 'running')
    await dying.start()
    assertFailed((await ended(site, [id]))[0], site.container)
    assert.equal(await runsOn(others), 0)
  })

  test('that its client left is soon what its node says of it', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const open = await stream(site, { pieces: 100, pieceMs: 50 })
    const id = await idOf(open)
    const left = node!.next('clientLeft')
    open.destroy()
    await left
    await node!.forget()
    assertFailed((await ended(site, [id]))[0], site.container)
    assert.equal(await runsOn([node!]), 1)
  })

  test('that broke off is what its node says of it', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const open = await stream(site, { pieces: 100, pieceMs: 50 })
    const id = await idOf(open)
    await node!.cut()
    assert.equal((await open.ended).complete, false)
    assert.equal((await entriesOf(site, [id]))[0]?.status, 'running')
    await node!.forget()
    assertFailed((await ended(site, [id]))[0], site.container)
    assert.equal(await runsOn([node!]), 1)
  })
})
