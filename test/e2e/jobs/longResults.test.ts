/** A result of 70 MB, from its node to its clients: never held whole, however slowly somebody reads. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGateway } from '../../kit/builders/gateways.ts'
import { type Gateway } from '../../kit/gateway.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { startScriptedNode, type AnswerQuestion, type ScriptedNode } from './scriptedNode.ts'
import { ask, ended, submitted } from './support.ts'

const MEGABYTE = 1_000_000
const LENGTH = 70 * MEGABYTE
const PIECE = Buffer.alloc(MEGABYTE, 'NaN, 1e-07, "é", 340282366920938463463374607431768211456, ')
const HEAD = '{"container":"echo","output":['
const TAIL = 'null]}'

/** The result: some JSON that no parser of ours could write again. */
function* pieces(): Generator<Buffer> {
  yield Buffer.from(HEAD)
  const element = Buffer.from(PIECE.subarray(0, PIECE.lastIndexOf(', ') + 2))
  for (let bytes = 0; bytes < LENGTH; bytes += element.length) yield element
  yield Buffer.from(TAIL)
}

const EXPECTED = expectedHash()

function expectedHash(): string {
  const hash = createHash('sha256')
  for (const piece of pieces()) hash.update(piece)
  return hash.digest('hex')
}

/** Answers with the long result, as fast as it is taken. */
async function answerLong(response: Parameters<AnswerQuestion>[0], id: string): Promise<void> {
  response.write(`[{"id":"${id}","intermediate_results":[],"result":`)
  await pipeline(Readable.from(pieces()), response, { end: false }).then(
    () => response.end(',"status":"success"}]'),
    // The gateway has heard enough.
    () => response.destroy(),
  )
}

function memory(pid: number, which: 'VmHWM' | 'VmRSS'): number {
  const [, kilobytes] = new RegExp(`${which}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

async function start(
  t: Cleanup,
  answer: AnswerQuestion,
  env: Record<string, string> = {},
): Promise<[Gateway, ScriptedNode]> {
  const node = await startScriptedNode(t, 'echo', answer)
  const gateway = await startGateway(t, {
    nodes: [node],
    env: { STATE_URL: 'sqlite:gateway.db', ...env },
  })
  return [gateway, node]
}

/** The hash of the result alone in the answer that a client gets. */
async function hashOf(gateway: Gateway, id: string): Promise<string> {
  const [answer] = (await once(get(`${gateway.url}/api/jobs?id=${id}`), 'response')) as [IncomingMessage]
  const head = `[{"id":"${id}","result":`
  const tail = ',"status":"success"}]'
  const resultBytes = Number(answer.headers['content-length']) - head.length - tail.length
  const hash = createHash('sha256')
  let at = -head.length
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    hash.update(chunk.subarray(Math.max(0, -at), Math.max(0, resultBytes - at)))
    at += chunk.length
  }
  return hash.digest('hex')
}

describe('a result of 70 MB', () => {
  test('arrives intact from one question, and neither that nor 40 unread reads of it take much memory', async (t) => {
    const [gateway, node] = await start(t, (response, [id]) => void answerLong(response, id!))
    const before = memory(gateway.pid, 'VmRSS')
    const id = await submitted(gateway)
    const isEnded = async (): Promise<boolean> => (await ask(gateway, '?pending=true')).text === '[]'
    await eventually(isEnded, { withinMs: 60_000 })
    const taken = memory(gateway.pid, 'VmHWM') - before
    // Far from it, were it held whole: its bytes are copied several times on their way, and freed now and then.
    assert.ok(taken < 3 * LENGTH, `receiving it took ${taken} bytes`)
    assert.equal(node.questions.length, 1)
    assert.equal(await hashOf(gateway, id), EXPECTED)

    const READERS = 40
    const settled = memory(gateway.pid, 'VmHWM')
    for (let count = 0; count < READERS; count++) {
      const [answer] = (await once(get(`${gateway.url}/api/jobs?id=${id}`), 'response')) as [IncomingMessage]
      t.after(() => answer.destroy())
    }
    // Nothing tells of what does not happen.
    await sleep(1000)
    const more = memory(gateway.pid, 'VmHWM') - settled
    assert.ok(more < READERS * 6 * MEGABYTE, `${READERS} readers took ${more} bytes`)
    assert.equal(await hashOf(gateway, id), EXPECTED)
  })

  test('is fetched again after the gateway was killed while it came', async (t) => {
    let isFirst = true
    const [gateway] = await start(t, (response, [id]) => {
      if (!isFirst) return void answerLong(response, id!)
      isFirst = false
      response.write(`[{"id":"${id!}","result":"${'x'.repeat(20 * MEGABYTE)}`)
    })
    const id = await submitted(gateway)
    await eventually(() => !isFirst)
    await sleep(300)
    await gateway.kill()
    await gateway.restart()
    await eventually(async () => (await ask(gateway, '?pending=true')).text === '[]', { withinMs: 60_000 })
    assert.equal(await hashOf(gateway, id), EXPECTED)
  })

  for (const setting of ['MAX_RESULT', 'STATE_MAX_BYTES']) {
    test(`over ${setting} ends its job as failed at once, with one question`, async (t) => {
      const [gateway, node] = await start(t, (response, [id]) => void answerLong(response, id!), { [setting]: '2mb' })
      const [entry] = await ended(gateway, [await submitted(gateway)])
      assert.equal(entry?.status, 'failed')
      assert.deepEqual(entry.result, {
        container: 'echo',
        error: `The result is larger than 2097152 bytes (${setting})`,
      })
      assert.equal(node.questions.length, 1)
    })
  }
})
