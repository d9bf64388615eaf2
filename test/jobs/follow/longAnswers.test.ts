/** Results that are long, slow or broken: each is read by itself, and holds up no other job. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../../src/fleet/address.ts'
import type { FollowerOptions } from '../../../src/jobs/follow/follower.ts'
import type { JobStatus } from '../../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import { serve } from '../../kit/serve.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { wholeOf } from '../../ledger/ledgerKit.ts'
import { aJob, entryText } from '../../kit/builders/jobs.ts'
import { setUpFollowing, type Following } from './following.ts'

const CALLER = 'a'
const MEGABYTE = 1024 * 1024

interface Question {
  readonly ids: string[]
  readonly isFull: boolean
  readonly at: number
}

interface Site extends Following {
  readonly questions: Question[]
  readonly status: (id: string) => Promise<JobStatus | undefined>
  readonly ended: (id: string) => Promise<JobStatus>
}

type AnswerTo = (response: ServerResponse, question: Question) => void | Promise<void>

/** A node that answers as the test writes it, and jobs of these ids that run there. */
async function siteOf(t: Cleanup, ids: string[], answer: AnswerTo, over: Partial<FollowerOptions> = {}): Promise<Site> {
  const questions: Question[] = []
  const address = await serve(t, (request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://node')
    const question = {
      ids: searchParams.getAll('id'),
      isFull: searchParams.get('intermediate') === 'true',
      at: performance.now(),
    }
    // Polls of the fleet are none of these.
    if (question.ids.length === 0) return void response.writeHead(404).end()
    questions.push(question)
    void answer(response, question)
  })
  const following = await setUpFollowing(t, undefined, { periodSeconds: 0.1, shortSeconds: 0.2, ...over })
  const { key } = parseAddress(address)
  await following.restored(...ids.map((id) => aJob({ node: key, id, caller: CALLER })))
  const status = async (id: string): Promise<JobStatus | undefined> => (await following.ledger.read(CALLER, [id]))[0]
  const ended = async (id: string): Promise<JobStatus> => {
    await eventually(async () => (await status(id))?.state !== 'running', { withinMs: 20_000 })
    return (await status(id))!
  }
  return { ...following, questions, status, ended }
}

const finished = (id: string, result: string, more: Parameters<typeof entryText>[1] = {}): string =>
  entryText(id, { status: 'success', result, ...more })

const textOf = (megabytes: number): string => `["${'x'.repeat(megabytes * MEGABYTE)}", NaN]`

describe('the result of a job', { concurrency: 8 }, () => {
  test('comes whole into the ledger however long it is, and its node is asked for it once', async (t) => {
    const result = textOf(20)
    const intermediate = textOf(3)
    const { ended, questions, live } = await siteOf(t, ['1'], (response, { ids }) => {
      response.end(`[${finished(ids[0]!, result, { intermediate: intermediate })}]`)
    })
    const job = await ended('1')
    assert.equal(job.state, 'success')
    assert.equal((await wholeOf(job.result)).toString(), result)
    assert.equal((await wholeOf(job.intermediate)).toString(), intermediate)
    assert.equal(questions.length, 1)
    await eventually(() => live.size === 0)
  })

  test('may take as long as its bytes keep coming, and other jobs of its node are seen meanwhile', async (t) => {
    let isOtherSeen = false
    const site = await siteOf(t, ['slow', 'other'], async (response, { ids }) => {
      if (ids.length > 1) {
        response.writeHead(200, { 'content-length': '1000' })
        return void response.write('[', () => response.destroy())
      }
      if (ids[0] === 'other') {
        const hasSlowBegun = site.questions.some(({ ids, at }) => ids[0] === 'slow' && performance.now() - at > 500)
        return void response.end(
          `[${entryText('other', { status: hasSlowBegun ? 'success' : 'running', result: '1' })}]`,
        )
      }
      response.write('[{"id":"slow","result":"')
      while (!isOtherSeen) {
        response.write('x')
        await sleep(50)
      }
      response.end('","status":"success"}]')
    })
    await site.ended('other')
    isOtherSeen = true
    assert.match((await wholeOf((await site.ended('slow')).result)).toString(), /^"x+"$/)
    assert.equal(site.questions.filter(({ ids }) => ids.join() === 'slow').length, 1)
  })

  test('that breaks off is asked for again with growing pauses, and leaves nothing behind', async (t) => {
    let breaks = 2
    const site = await siteOf(t, ['1'], (response) => {
      const text = `[${finished('1', textOf(4))}]`
      if (breaks-- <= 0) return void response.end(text)
      response.writeHead(200, { 'content-length': String(text.length) })
      response.write(text.slice(0, 3 * MEGABYTE), () => setTimeout(() => response.destroy(), 50))
    })
    const job = await site.ended('1')
    assert.equal((await wholeOf(job.result)).toString(), textOf(4))
    const pauses = site.questions.slice(1).map(({ at }, i) => at - site.questions[i]!.at)
    assert.equal(pauses.length, 2)
    assert.ok(pauses[0]! >= 900 && pauses[1]! >= 1900, pauses.join())
    await eventually(() => site.ledger.health().keptBytes < 5 * MEGABYTE)
  })

  test('over MAX_RESULT ends the job at once, saying so, and is asked for once', async (t) => {
    const site = await siteOf(t, ['1'], (response) => void response.end(`[${finished('1', textOf(5))}]`), {
      maxResultBytes: 2 * MEGABYTE,
    })
    const job = await site.ended('1')
    assert.equal(job.state, 'failed')
    assert.deepEqual(JSON.parse((await wholeOf(job.result)).toString()), {
      container: 'echo',
      error: 'The result is larger than 2097152 bytes (MAX_RESULT)',
    })
    assert.equal(site.questions.length, 1)
    await eventually(() => site.ledger.health().keptBytes < MEGABYTE)
  })

  test('that is short is held against MAX_RESULT too, also in a look at several jobs', async (t) => {
    const over = { maxResultBytes: 100 }
    const site = await siteOf(
      t,
      ['1', '2'],
      (response, { ids }) => {
        response.end(`[${ids.map((id) => finished(id, `"${'x'.repeat(id === '1' ? 200 : 50)}"`)).join(',')}]`)
      },
      over,
    )
    assert.equal((await site.ended('1')).state, 'failed')
    assert.equal((await site.ended('2')).state, 'success')
  })

  test('is kept without its intermediate results where these are over MAX_RESULT', async (t) => {
    const answer: AnswerTo = (response, { isFull }) => {
      const full = finished('1', '1', { intermediate: textOf(5) })
      response.end(isFull ? `[${full}]` : '[{"id":"1","result":1,"status":"success"}]')
    }
    const site = await siteOf(t, ['1'], answer, { maxResultBytes: 2 * MEGABYTE })
    const job = await site.ended('1')
    assert.deepEqual([job.state, String(await wholeOf(job.result)), job.intermediate], ['success', '1', undefined])
    assert.deepEqual(
      site.questions.map(({ isFull }) => isFull),
      [true, false],
    )
  })

  test('that is long and no JSON is dropped, and the job not failed at once', async (t) => {
    const site = await siteOf(t, ['1'], (response) => void response.end(`[${finished('1', `{"broken ${textOf(3)}`)}]`))
    await eventually(() => site.questions.length >= 2)
    assert.equal((await site.status('1'))?.state, 'running')
    await eventually(() => site.ledger.health().keptBytes < MEGABYTE)
  })

  test('waits for a ledger that cannot be written, and is not lost', async (t) => {
    class BrokenLedger extends MemoryLedger {
      isBroken = true
      override receive(caller: string): ReturnType<MemoryLedger['receive']> {
        return this.isBroken ? Promise.reject(new Error('the disk is full')) : super.receive(caller)
      }
    }
    const ledger = new BrokenLedger({ maxBytes: 1e9, ttlMs: 1e9 })
    const site = await siteOf(t, ['1'], (response) => void response.end(`[${finished('1', textOf(3))}]`), { ledger })
    await eventually(() => site.questions.length >= 2)
    assert.equal((await site.status('1'))?.state, 'running')
    ledger.isBroken = false
    assert.equal((await wholeOf((await site.ended('1')).result)).toString(), textOf(3))
  })
})

test('a running job with long intermediate results is asked for without them, and has them when it has ended', async (t) => {
  let isEnded = false
  const intermediate = textOf(3)
  const site = await siteOf(t, ['1'], (response, { isFull }) => {
    const status = isEnded ? 'success' : 'running'
    const brief = `{"id":"1","result":${isEnded ? '"end"' : 'null'},"status":"${status}"}`
    response.end(
      isFull ? `[${entryText('1', { status, intermediate, ...(isEnded && { result: '"end"' }) })}]` : `[${brief}]`,
    )
  })
  await eventually(() => site.questions.some(({ isFull }) => !isFull))
  assert.equal((await site.status('1'))?.state, 'running')
  isEnded = true
  const job = await site.ended('1')
  assert.equal((await wholeOf(job.intermediate)).toString(), intermediate)
  assert.equal((await wholeOf(job.result)).toString(), '"end"')
  assert.ok(site.questions.filter(({ isFull }) => isFull).length <= 3)
  await eventually(() => site.ledger.health().keptBytes < 4 * MEGABYTE)
})
