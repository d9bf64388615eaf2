import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ledger, SharedLedger } from '../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import { JobTraces } from '../../src/observability/traces/jobTraces.ts'
import { tracedLedger, type TraceWrite } from '../../src/observability/traces/tracedLedger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'

/** Notes the writes that are traced. */
function recorder(): { seen: string[]; trace: TraceWrite } {
  const seen: string[] = []
  const trace: TraceWrite = ({ operation, job, run }, inserted) => {
    seen.push([operation, job ?? 'several', inserted?.length ?? 0].join(' '))
    return run()
  }
  return { seen, trace }
}

test('all writes of a ledger are traced, and what it answers stays the same', async () => {
  const { seen, trace } = recorder()
  const ledger = tracedLedger<Ledger>(new MemoryLedger({ maxBytes: 1_000_000, ttlMs: 1_000_000 }), trace)
  const [one, two, three] = ['a', 'b', 'c'].map((id) => aJob({ id }))
  await ledger.insert([{ record: one! }])
  await ledger.insert([{ record: two! }, { record: three! }])
  assert.equal(await ledger.startRun('a', { ...one!, runs: 2 }, 1), true)
  await ledger.markLeft('b')
  assert.equal(await ledger.finish('a', anEnd()), true)
  assert.equal(await ledger.finish('a', anEnd()), false)
  const result = await ledger.receive(two!.caller)
  await result.add('result', Buffer.from('1'))
  assert.equal(await result.finish('b', { state: 'success', finishedAt: Date.now() }), true)
  assert.deepEqual(await ledger.list(one!.caller, 'pending'), ['c'])
  assert.equal(ledger.health().jobs, 3)
  assert.equal(ledger.shared, undefined)
  assert.deepEqual(seen, [
    'insert a 1',
    'insert several 2',
    'startRun a 0',
    'markLeft b 0',
    'finish a 0',
    'finish a 0',
    'finish b 0',
  ])
  await assert.rejects(ledger.insert([{ record: one! }]), { code: 'ERR_DUPLICATE' })
})

test('a ledger that gateways share stays one and the same, and is traced as such', async () => {
  const { seen, trace } = recorder()
  const store = { note: async () => {}, coordination: {} } as unknown as SharedLedger
  Object.assign(store, { shared: store })
  const ledger = tracedLedger<Ledger>(store, trace)
  assert.equal(ledger.shared, ledger)
  await ledger.shared?.note('a', Buffer.from('1'))
  assert.deepEqual(seen, ['note a 0'])
})

test('traces of jobs are remembered for a bounded number of them', () => {
  const traces = new JobTraces()
  const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
  for (let n = 0; n <= 10_000; n++) traces.add(String(n), span)
  assert.equal(traces.contextOf('0'), undefined)
  assert.ok(traces.contextOf('1') && traces.contextOf('10000'))
  traces.remove('1')
  assert.equal(traces.contextOf('1'), undefined)
})
