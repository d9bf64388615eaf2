/** Request bodies in memory are bounded, in all and for each caller, whatever their senders do. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import type { RawConnection } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import {
  allIsGivenBack,
  announced,
  assertNoRoom,
  callersHold,
  holdsExactly,
  MB,
  memoryStats,
  metric,
  OTHER,
  SMALL_BUDGET,
  stalledUpload,
} from './support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node], SMALL_BUDGET)

/** A job with a body of about so many bytes. */
function jobOfBytes(bytes: number): object {
  return jobOf({ filler: 'x'.repeat(bytes) })
}

/** Fills a caller's share by two uploads that stall. */
async function fillShare(t: Cleanup, localAddress?: string): Promise<void> {
  const before = await callersHold(gateway)
  for (let i = 1; i <= 2; i++) {
    await stalledUpload(gateway, t, { headers: [announced(MB)], ...(localAddress && { localAddress }) })
  }
  await holdsExactly(gateway, before + 2 * MB)
}

/** The tests' own cleanup, run by hand, so that a test sees what becomes of the budget after it. */
function closedByHand(): Cleanup & { closeAll(): void } {
  const closers: (() => unknown)[] = []
  return { after: (closer) => void closers.push(closer), closeAll: () => closers.splice(0).forEach((close) => close()) }
}

describe('a caller whose stalled uploads hold a quarter of the budget', () => {
  test('gets 503 for another body before any of it is read; others do not notice; all is given back when it leaves', async () => {
    const uploads = closedByHand()
    await fillShare(uploads)

    const refused = await post(`${gateway.url}/api/jobs`, jobOfBytes(100))
    assert.match(assertNoRoom(refused), /in flight/)
    assert.equal(refused.headers.connection, 'close')
    assert.deepEqual(refused.json<{ params: object }>().params, { max_bytes: 2 * MB })

    const served = await post(`${gateway.url}/api/jobs`, jobOfBytes(MB), { localAddress: OTHER })
    assert.equal(served.status, 200, served.text)

    uploads.closeAll()
    await allIsGivenBack(gateway)
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOfBytes(MB))).status, 200)
    assert.ok((await memoryStats(gateway)).refused.caller > 0)
    assert.ok((await metric(gateway, 'infernet_gateway_memory_refusals_total{scope="caller"}')) > 0)
  })

  test('is not told to go on with a body that has no room', async () => {
    const uploads = closedByHand()
    await fillShare(uploads)
    const headers = [announced(MB), 'Expect: 100-continue']
    const waiting = await stalledUpload(gateway, uploads, { headers })
    const text = await waiting.closed()
    assert.match(text, /^HTTP\/1\.1 503 /)
    assert.doesNotMatch(text, / 100 /)
    uploads.closeAll()
    await allIsGivenBack(gateway)
  })

  test('may still ask for everything that has no body', async () => {
    const uploads = closedByHand()
    await fillShare(uploads)
    for (const path of [
      '/livez',
      '/readyz',
      '/health',
      '/metrics',
      '/stats',
      '/info',
      '/api/jobs',
      '/api/v1/ips?container=echo',
    ])
      assert.equal((await request(gateway.url + path)).status, 200, path)
    uploads.closeAll()
    await allIsGivenBack(gateway)
  })
})

test('bodies of all callers together stay within the budget; then everybody is told so, and the pages answer', async () => {
  const uploads = closedByHand()
  for (const caller of ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4']) await fillShare(uploads, caller)
  const refused = await post(`${gateway.url}/api/jobs`, jobOfBytes(100), { localAddress: '127.0.0.5' })
  assert.match(assertNoRoom(refused), /as many request bodies and answers as it may/)
  for (const path of ['/livez', '/readyz', '/health', '/metrics', '/stats'])
    assert.equal((await request(gateway.url + path)).status, 200, path)
  assert.equal((await memoryStats(gateway)).used_bytes, 8 * MB)
  uploads.closeAll()
  await allIsGivenBack(gateway)
})

describe('bodies of unknown length', () => {
  const chunk = (bytes: number): string => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`

  test('count as they arrive, are refused when there is no more room, and then the connection closes', async () => {
    const uploads = closedByHand()
    const chunked = { headers: ['Transfer-Encoding: chunked'], sent: chunk(MB) }
    const first: RawConnection[] = []
    for (let i = 1; i <= 2; i++) first.push(await stalledUpload(gateway, uploads, chunked))
    await holdsExactly(gateway, 2 * MB)
    const [one, two] = first as [RawConnection, RawConnection]
    one.send(chunk(1000))
    assert.match(await one.until((text) => text.endsWith('}')), /^HTTP\/1\.1 503 [^]*Connection: close/)
    one.send('0\r\n\r\n')
    await one.closed()
    // What it held is there for others at once.
    await holdsExactly(gateway, MB)
    two.send(chunk(1000))
    await holdsExactly(gateway, MB + 1000)
    uploads.closeAll()
    await allIsGivenBack(gateway)
  })

  test('that come byte by byte arrive as they were', async (t) => {
    const text = JSON.stringify(jobOfBytes(20_000))
    const upload = await stalledUpload(gateway, t, { headers: ['Transfer-Encoding: chunked', 'Connection: close'] })
    upload.send([...text].map((byte) => `1\r\n${byte}\r\n`).join('') + '0\r\n\r\n')
    assert.match(await upload.closed(), /^HTTP\/1\.1 200 /)
    assert.equal(node.requests.findLast(({ endpoint }) => endpoint === 'submit')?.body?.toString(), text)
    await allIsGivenBack(gateway)
  })
})

test('a body as large as MAX_BODY passes though it is a quarter of the budget, with a length and without', async () => {
  const body = Buffer.from(JSON.stringify(jobOfBytes(2 * MB - 100)))
  assert.equal((await post(`${gateway.url}/api/jobs`, body)).status, 200)
  const chunked = { headers: { 'Transfer-Encoding': 'chunked' } }
  assert.equal((await post(`${gateway.url}/api/jobs`, body, chunked)).status, 200)
  const batch = Buffer.from(JSON.stringify(Array.from({ length: 10 }, () => jobOfBytes(200_000))))
  assert.equal((await post(`${gateway.url}/api/jobs/batch`, batch)).status, 200)
  await allIsGivenBack(gateway)
})

test('several hundred slow uploads of several callers hold no more than the budget, and a caller with none of them is served', async () => {
  const uploads = closedByHand()
  const size = 100_000
  for (let i = 0; i < 300; i++) {
    const localAddress = `127.0.0.${2 + (i % 3)}`
    await stalledUpload(gateway, uploads, { headers: [announced(size)], sent: 'x'.repeat(1000), localAddress })
  }
  // Three quarters, in whole uploads.
  await holdsExactly(gateway, 3 * size * Math.floor((2 * MB) / size))
  assert.equal((await post(`${gateway.url}/api/jobs`, jobOfBytes(MB))).status, 200)
  uploads.closeAll()
  await allIsGivenBack(gateway)
})

test('a body larger than MAX_BODY is still 413, and takes no room', async () => {
  assertError(await post(`${gateway.url}/api/jobs`, jobOfBytes(3 * MB)), 413)
  await allIsGivenBack(gateway)
})
