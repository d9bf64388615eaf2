/** Results that are long, or asked for many times at once: what telling them costs. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { openStream } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { afterSuite, ask, ended, startNodes, submitted } from './support.ts'

const MEGABYTE = 1_000_000

/** The most memory that the process has had at a time, bytes. */
function peakMemory(pid: number): number {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

function times(count: number, id: string): string {
  return `?${Array.from({ length: count }, () => `id=${id}`).join('&')}`
}

describe('the answer of GET /api/jobs', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let id: string

  before(async () => {
    gateway = await gatewayFor(cleanup, await startNodes(cleanup, 1))
    id = await submitted(gateway, { text: 'x'.repeat(MEGABYTE) })
    await ended(gateway, [id])
  })

  test('takes the memory of one result, however often that is asked for', async () => {
    const earlier = peakMemory(gateway.pid)
    const answer = await openStream(gateway.url + '/api/jobs' + times(500, id), { method: 'GET' })
    await answer.next()
    assert.ok(Number(answer.headers['content-length']) > 500 * MEGABYTE)
    const taken = peakMemory(gateway.pid) - earlier
    answer.destroy()
    assert.ok(taken < 200 * MEGABYTE, `it took ${taken} bytes`)
    // Nothing of it is left behind.
    assert.equal((await ask(gateway, `?id=${id}`)).status, 200)
  })

  test('is whole where it is sent in many pieces, and a HEAD tells its length', async () => {
    const [entry] = (await ask(gateway, `?id=${id}`)).json<object[]>()
    const answer = await ask(gateway, times(20, id))
    assert.equal(Number(answer.headers['content-length']), answer.body.length)
    assert.deepEqual(
      answer.json(),
      Array.from({ length: 20 }, () => entry),
    )
    const head = await openStream(gateway.url + '/api/jobs' + times(20, id), { method: 'HEAD' })
    assert.equal(Number(head.headers['content-length']), answer.body.length)
    assert.equal(await head.next(), undefined)
  })
})
