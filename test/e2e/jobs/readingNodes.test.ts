/** Answers of nodes that are hard to read: late, long, broken or nonsense. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startScriptedNode } from './scriptedNode.ts'
import type { AnswerQuestion } from './scriptedNode.ts'
import { finishedEntry, runningEntry } from '../../kit/builders/jobs.ts'
import { eventually } from '../../kit/wait.ts'
import { SharedGateway } from './site.ts'
import { ask, ended, entriesOf, listed, submitMany, submitted } from './support.ts'

describe('reading what nodes say', { concurrency: 6 }, () => {
  const shared = new SharedGateway({ JOB_TIMEOUT: '8' })

  for (const [what, output] of [
    ['is no JSON', '{"broken'],
    ['breaks off', undefined],
  ] as const) {
    test(`a result that ${what} spoils no other`, async (t) => {
      const site = shared.site(t)
      const node = await startScriptedNode(t, site.container, (response, ids) => {
        const entries = ids.map((id) => finishedEntry(id, id === node.ids[5] ? (output ?? '1') : '"fine"'))
        const isBroken = output === undefined && ids.includes(node.ids[5]!)
        if (!isBroken) return void response.end(`[${entries.join(',')}]`)
        response.writeHead(200, { 'content-length': '10000' })
        response.write('[', () => response.destroy())
      })
      await site.list(node)
      const ids = await submitMany(site, 20)
      const poisoned = node.ids[5]!
      const sound = ids.filter((id) => id !== poisoned)
      for (const entry of await ended(site, sound)) {
        assert.deepEqual(entry.result, { container: 'echo', output: 'fine' })
      }
      const [entry] = await entriesOf(site, [poisoned])
      assert.equal(entry?.status, 'running')
      // It alone is asked for from then on, with growing pauses.
      const before = node.questions.length
      await sleep(3000)
      const later = node.questions.slice(before)
      assert.ok(later.length <= 3, `${later.length} questions in 3 s`)
      assert.ok(later.every((question) => question.ids.join() === poisoned))
    })
  }

  test('a job of which a node tells nothing that can be understood fails after JOB_TIMEOUT', async (t) => {
    const site = shared.site(t)
    const node = await startScriptedNode(t, site.container, (response) => {
      response.writeHead(500, { 'content-type': 'text/html' })
      response.end('<html>Internal Server Error</html>')
    })
    await site.list(node)
    const [entry] = await ended(site, [await submitted(site)])
    assert.equal(entry?.status, 'failed')
    assert.deepEqual(Object.keys(entry.result ?? {}), ['container', 'error'])
    assert.equal(node.ids.length, 1)
  })

  test('intermediate results of a running job are told to whoever asks for them, as the bytes that came', async (t) => {
    const site = shared.site(t)
    const told = '[{"container":"echo","output":[NaN, 1e-07]}]'
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      response.end(`[${ids.map((id) => runningEntry(id, told)).join(',')}]`)
    })
    await site.list(node)
    const id = await submitted(site)
    const expected = `[{"id":"${id}","intermediate_results":${told},"result":null,"status":"running"}]`
    await eventually(async () => (await ask(site, `?id=${id}&intermediate=true`)).text === expected)
    assert.deepEqual((await ask(site, `?id=${id}`)).json(), [{ id, result: null, status: 'running' }])
  })

  test('results that together are longer than 8 MB are asked for in halves', async (t) => {
    const site = shared.site(t)
    const long = `"${'x'.repeat(5_000_000)}"`
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      const wereTogether = node.questions.some((question) => question.ids.length === 2)
      const entries = ids.map((id) => (wereTogether ? finishedEntry(id, long) : runningEntry(id)))
      response.end(`[${entries.join(',')}]`)
    })
    await site.list(node)
    const ids = await submitMany(site, 2)
    const isFinished = async (): Promise<boolean> => (await listed(site, '?pending=true')).length === 0
    await eventually(isFinished, { withinMs: 60_000, everyMs: 100 })
    for (const id of ids) {
      const [entry] = await entriesOf(site, [id])
      assert.equal((entry?.result?.output as string).length, 5_000_000)
    }
    const asked = node.questions.map((question) => question.ids.length)
    assert.deepEqual(asked.slice(-3), [2, 1, 1])
  })

  test('a state that no node has had so far is none of the final ones, and the job not lost', async (t) => {
    const site = shared.site(t)
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      const isNew = node.questions.length < 4
      const entry = (id: string): string =>
        isNew ? runningEntry(id).replace('running', 'queued') : finishedEntry(id, '1')
      response.end(`[${ids.map(entry).join(',')}]`)
    })
    await site.list(node)
    const id = await submitted(site)
    const [entry] = await ended(site, [id])
    assert.equal(entry?.status, 'success')
    assert.equal(node.ids.length, 1)
  })

  test('a node that gives an id twice takes no job from anybody', async (t) => {
    const site = shared.site(t)
    const answer: AnswerQuestion = (response, ids) => {
      response.end(`[${ids.map((id) => finishedEntry(id, '1')).join(',')}]`)
    }
    const sameId = randomUUID()
    const node = await startScriptedNode(t, site.container, answer, () => sameId)
    await site.list(node)
    const [mine, yours] = [site.from, '127.0.0.99']
    const ids = [await submitted(site, {}, { from: mine }), await submitted(site, {}, { from: yours })] as const
    assert.equal(ids[0], sameId)
    assert.notEqual(ids[1], sameId)
    for (const [n, from] of [mine, yours].entries()) {
      assert.equal((await ended(site, [ids[n]!], { from }))[0]?.status, 'success')
      assert.deepEqual(await listed(site, '', { from }), [ids[n]])
    }
  })

  test('an answer that comes slowly, yet comes, is waited for', async (t) => {
    const site = shared.site(t)
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      const text = `[${ids.map((id) => finishedEntry(id, `"${'x'.repeat(40_000)}"`)).join(',')}]`
      const pieces = text.match(/[^]{1,5000}/g)!
      const next = (): void => {
        const piece = pieces.shift()
        if (piece === undefined) return void response.end()
        response.write(piece)
        setTimeout(next, 800)
      }
      next()
    })
    await site.list(node)
    const [entry] = await ended(site, [await submitted(site)])
    assert.equal(entry?.status, 'success')
    assert.equal(node.questions.length, 1)
  })

  test('submissions without a pause do not put off the next look at a node whose budget is low', async (t) => {
    const site = shared.site(t)
    const node = await startScriptedNode(t, site.container, (response, ids) => {
      // A call each 1.5 s.
      response.writeHead(200, { 'ratelimit-limit': '60', 'ratelimit-remaining': '2', 'ratelimit-reset': '87' })
      response.end(`[${ids.map((id) => runningEntry(id)).join(',')}]`)
    })
    await site.list(node)
    for (let n = 0; n < 60; n++) await Promise.all([submitted(site), sleep(100)])
    assert.ok(node.questions.length >= 3, `${node.questions.length} looks in 6 s`)
  })
})
