import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { Idempotency, type KeyUse } from '../../src/jobs/idempotency.ts'
import type { IdempotencyRecord } from '../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import type { Cleanup } from '../kit/wait.ts'

function setUp(t: Cleanup): { ledger: MemoryLedger; idempotency: Idempotency } {
  const ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  t.after(() => ledger.close())
  return { ledger, idempotency: new Idempotency(ledger) }
}

function useOf(body: string, key = 'key', caller = 'a', path = '/api/jobs'): KeyUse {
  return { caller, path, key, bodyHash: createHash('sha256').update(body).digest() }
}

function answerTo(use: KeyUse, body = '{"id":"1"}'): IdempotencyRecord {
  return { ...use, status: 200, contentType: 'application/json', body: Buffer.from(body), createdAt: Date.now() }
}

describe('requests under one Idempotency-Key', () => {
  test('run one after the other, and only until one of them is accepted', async (t) => {
    const { ledger, idempotency } = setUp(t)
    const use = useOf('{}')
    let runs = 0
    let runsNow = 0
    const submit = async (isKept: (answer: IdempotencyRecord) => void): Promise<void> => {
      assert.equal(++runsNow, 1)
      await new Promise((resolve) => setImmediate(resolve))
      runsNow--
      // The first two are refused.
      if (++runs < 3) return
      await ledger.insert([], answerTo(use))
      isKept(answerTo(use))
    }
    const told = await Promise.all(Array.from({ length: 8 }, () => idempotency.once(use, submit)))
    assert.equal(runs, 3)
    const [first, second, third, ...others] = told
    assert.deepEqual([first, second, third], [undefined, undefined, undefined])
    for (const answer of others) assert.equal(answer?.body.toString(), '{"id":"1"}')
    assert.equal((await idempotency.once(use, submit))?.body.toString(), '{"id":"1"}')
    assert.equal(runs, 3)
  })

  test('that fail leave the key free', async (t) => {
    const { idempotency } = setUp(t)
    const use = useOf('{}')
    await assert.rejects(
      idempotency.once(use, () => Promise.reject(new Error('refused'))),
      /refused/,
    )
    let ran = false
    await idempotency.once(use, async () => void (ran = true))
    assert.ok(ran)
  })

  test('with other bytes are refused, while the first runs and afterwards', async (t) => {
    const { ledger, idempotency } = setUp(t)
    const use = useOf('{"a":1}')
    const never = (): Promise<void> => assert.fail('ran')
    const first = idempotency.once(use, async (isKept) => {
      await assert.rejects(idempotency.once(useOf('{"a":2}'), never), { code: 'ERR_KEY_REUSED' })
      await ledger.insert([], answerTo(use))
      isKept(answerTo(use))
    })
    await first
    await assert.rejects(idempotency.once(useOf('{"a":2}'), never), { code: 'ERR_KEY_REUSED' })
  })

  test('of another caller or path are other requests', async (t) => {
    const { ledger, idempotency } = setUp(t)
    let runs = 0
    for (const use of [
      useOf('{}'),
      useOf('{}', 'key', 'b'),
      useOf('{}', 'key', 'a', '/api/jobs/batch'),
      useOf('{}', 'k'),
    ]) {
      await idempotency.once(use, async () => {
        runs++
        await ledger.insert([], answerTo(use))
      })
    }
    assert.equal(runs, 4)
  })

  test('hold nothing once they have ended', async (t) => {
    const { idempotency } = setUp(t)
    for (let n = 0; n < 3; n++) await idempotency.once(useOf('{}'), async () => undefined)
    // A turn left over would be waited for here.
    await idempotency.once(useOf('{"other":1}'), async () => undefined)
  })
})
