/** Whose job it is: every caller sees their own jobs, wherever those ran, and nobody else's. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream, post } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { afterSuite, ask, assertEchoed, ended, entriesOf, listed, runsOn, startNodes } from './support.ts'
import { submitMany, submitted, submitTo } from './support.ts'
import { assertError } from '../support.ts'

const A = { from: '127.0.0.5' }
const B = { from: '127.0.0.6' }

describe('whose job', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let nodes: LocalFakeNode[]

  before(async () => {
    nodes = await startNodes(cleanup, 3, { containers: ['echo', { id: 'inner', external: false }] })
    gateway = await gatewayFor(cleanup, nodes)
  })

  test('twelve jobs on three nodes are read in one call, in the order asked', async () => {
    const ids = await submitMany(gateway, 12, (n) => ({ n }), { from: '127.0.0.21' })
    for (const node of nodes) assert.ok((await runsOn([node])) > 0, `${node.address} got none`)
    const order = ids.toReversed()
    const entries = await ended(gateway, order, { from: '127.0.0.21' })
    assert.deepEqual(
      entries.map(({ id }) => id),
      order,
    )
    entries.toReversed().forEach((entry, n) => assertEchoed(entry, { n }))
  })

  test('unknown ids are left out, one asked twice is told twice', async () => {
    const [first, second] = (await submitMany(gateway, 2, () => ({}), A)) as [string, string]
    await ended(gateway, [first, second], A)
    const entries = await entriesOf(gateway, [second, 'no-such-job', first, second], A)
    assert.deepEqual(
      entries.map(({ id }) => id),
      [second, first, second],
    )
    assert.equal((await ask(gateway, '?id=no-such-job', A)).text, '[]')
    assert.equal((await ask(gateway, '?id=', A)).text, '[]')
  })

  test("two callers see none of each other's jobs, by any call", async () => {
    const running = await submitted(gateway, { seconds: 30 }, A)
    const finished = await submitted(gateway, {}, A)
    await ended(gateway, [finished], A)
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, {
      body: jobOf({ pieces: 2, pieceMs: 0 }),
      localAddress: A.from,
    })
    await stream.ended
    const streamed = stream.text.split('\n')[0]!
    const [batched] = (
      await post(`${gateway.url}/api/jobs/batch`, [jobOf({ seconds: 30 })], { localAddress: A.from })
    ).json<{ id: string }[]>()
    const all = [running, finished, streamed, batched!.id]

    assert.equal((await entriesOf(gateway, all, A)).length, all.length)
    assert.deepEqual(await entriesOf(gateway, all, B), [])
    assert.deepEqual((await ask(gateway, `?id=${finished}&intermediate=true`, B)).json(), [])
    for (const query of ['', '?pending=true', '?pending=false']) {
      const others = await listed(gateway, query, B)
      assert.deepEqual(
        others.filter((id) => all.includes(id)),
        [],
      )
    }
    for (const id of all) assert.ok((await listed(gateway, '', A)).includes(id))

    // Nor those that reached a node in another way.
    const direct = await post(`${nodes[0]!.url}/api/jobs`, jobOf(), { localAddress: A.from })
    const { id } = direct.json<{ id: string }>()
    assert.ok(!(await listed(gateway, '', A)).includes(id))
    assert.deepEqual(await entriesOf(gateway, [id], A), [])
  })

  test('pending=true lists the unfinished jobs, pending=false the finished ones, anything else all', async () => {
    const from = { from: '127.0.0.22' }
    const finished = await submitMany(gateway, 2, () => ({}), from)
    await ended(gateway, finished, from)
    const running = await submitMany(gateway, 2, () => ({ seconds: 30 }), from)
    assert.deepEqual((await listed(gateway, '?pending=true', from)).toSorted(), running.toSorted())
    assert.deepEqual((await listed(gateway, '?pending=false', from)).toSorted(), finished.toSorted())
    for (const query of ['', '?pending=maybe', '?pending=True']) {
      assert.deepEqual((await listed(gateway, query, from)).toSorted(), [...running, ...finished].toSorted())
    }
    // With ids it says nothing.
    const query = `?pending=true&id=${finished[0]}`
    assert.equal((await ask(gateway, query, from)).json<unknown[]>().length, 1)
  })

  test('limit and after page through the list, also from a job that has left it', async () => {
    const from = { from: '127.0.0.23' }
    const finished = await submitMany(gateway, 2, () => ({}), from)
    await ended(gateway, finished, from)
    const running = await submitMany(gateway, 3, () => ({ seconds: 30 }), from)
    const all = await listed(gateway, '', from)
    const pages: string[] = []
    for (let after = ''; pages.length < all.length; after = `&after=${pages.at(-1)}`) {
      const page = await listed(gateway, `?limit=2${after}`, from)
      assert.ok(page.length > 0 && page.length <= 2)
      pages.push(...page)
    }
    assert.deepEqual(pages, all)
    assert.deepEqual(await listed(gateway, `?after=${all.at(-1)}`, from), [])
    const later = await listed(gateway, `?pending=true&after=${finished[0]}`, from)
    assert.deepEqual(later.toSorted(), running.toSorted())
    for (const query of ['?limit=x', '?limit=-1', `?after=${randomUUID()}`]) {
      const refused = await ask(gateway, query, from)
      assert.match(assertError(refused, 400), /^(limit|after) must be/)
    }
  })

  test('intermediate results are told to whoever asks with exactly "true"', async () => {
    const answer = await submitTo(gateway, jobOf({ a: 1 }, ['echo', 'inner']), A)
    const { id } = answer.json<{ id: string }>()
    await ended(gateway, [id], A)
    const told = (await ask(gateway, `?id=${id}&intermediate=true`, A)).text
    const first = '{"container":"echo","output":{"container":"echo","echo":{"a":1}}}'
    const last = '{"container":"inner","output":{"container":"inner","echo":{"container":"echo","echo":{"a":1}}}}'
    const normal = (text: string): unknown => JSON.parse(text)
    assert.deepEqual(
      normal(told),
      normal(`[{"id":"${id}","intermediate_results":[${first}],"result":${last},"status":"success"}]`),
    )
    for (const query of ['', '&intermediate=false', '&intermediate=1', '&intermediate=True']) {
      const [entry] = (await ask(gateway, `?id=${id}${query}`, A)).json<object[]>()
      assert.ok(entry && !('intermediate_results' in entry), query)
    }
    const running = await submitted(gateway, { seconds: 30 }, A)
    assert.deepEqual((await ask(gateway, `?id=${running}&intermediate=true`, A)).json(), [
      { id: running, intermediate_results: [], result: null, status: 'running' },
    ])
  })

  test('a result is the bytes that the node wrote: long integers, NaN, spelling of numbers', async () => {
    const output = '{"big":123456789012345678901234567890,"nan":NaN,"inf":-Infinity,"one":1.0,"tiny":1e-07}'
    const answer = await submitTo(gateway, `{"containers":["echo"],"data":{"output":${output}}}`, A)
    const { id } = answer.json<{ id: string }>()
    // It cannot be parsed here, so the text tells when it has ended.
    let text = ''
    while (!text.includes('"success"')) text = (await ask(gateway, `?id=${id}`, A)).text
    assert.ok(text.includes(`"output":${output}`), text)
  })
})
