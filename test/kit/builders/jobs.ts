/** Jobs as clients submit them, as nodes tell of them, and as the ledger keeps them. */
import { randomUUID } from 'node:crypto'
import type { JobEnd, JobRecord, IdempotencyRecord } from '../../../src/ledger/ledger.ts'
import { pipelineHash } from '../fakeNode/submission.ts'

/** The body of a submission. */
export interface JobBody {
  containers: readonly string[]
  data: object
}

/** A job for these containers. Of its `data` the fake node reads what they are to do. */
export function jobOf(data: object = {}, containers: readonly string[] = ['echo']): JobBody {
  return { containers, data }
}

/** What a container reports of a job by `PUT /api/status`. */
export function statusReport(id: string, status = 'success'): { id: string; status: string } & JobBody {
  return { id, status, ...jobOf() }
}

/** More than a double can hold: a program that parses the number and writes it again changes it. */
export const BIG = '98765432109876543210987654321098765432109876543210987654321098765432109876543'

/** The JSON text of a delegated subscription that names these containers by their hash, or of the hash itself. */
export function subscriptionFor(
  containers: readonly string[] | string,
  { expiry = 4_000_000_000, note = '' }: { expiry?: number; note?: string } = {},
): string {
  const hash = typeof containers === 'string' ? containers : `0x${pipelineHash(containers)}`
  const subscription = {
    owner: '0x1111111111111111111111111111111111111111',
    active_at: 1,
    period: 0,
    frequency: 1,
    redundancy: 1,
    containers: hash,
    lazy: false,
    verifier: '0x0000000000000000000000000000000000000000',
    payment_amount: 0,
    payment_token: '0x0000000000000000000000000000000000000000',
    wallet: '0x0000000000000000000000000000000000000000',
  }
  const signature = `{"nonce":1,"expiry":${expiry},"v":27,"r":${BIG},"s":${BIG}}`
  return `{"subscription": ${JSON.stringify(subscription)}, "signature": ${signature}, "data": {"note":"${note}"}}`
}

/** What a node tells of a job; the members are JSON text, sound or not. */
interface EntryText {
  status?: string
  result?: string
  intermediate?: string
}

/** The text of one entry of a node's `GET /api/jobs`: of a running job where nothing else is given. */
export function entryText(id: string, { status = 'running', result = 'null', intermediate = '[]' }: EntryText): string {
  return `{"id":"${id}","intermediate_results":${intermediate},"result":${result},"status":"${status}"}`
}

/** A running job, as a node tells of it. */
export function runningEntry(id: string, intermediate?: string): string {
  return entryText(id, { ...(intermediate !== undefined && { intermediate }) })
}

/** A finished one. */
export function finishedEntry(id: string, output: string): string {
  return entryText(id, { status: 'success', result: `{"container":"echo","output":${output}}` })
}

/** The ledger's record of a running job. Its node knows it under its own id, unless `over` says otherwise. */
export function aJob(over: Partial<JobRecord> = {}): JobRecord {
  const id = over.id ?? randomUUID()
  const now = Date.now()
  return {
    id,
    caller: '10.0.0.1',
    clientAddress: '10.0.0.1',
    kind: 'job',
    containers: ['echo'],
    node: 'http://10.1.0.1:4000',
    nodeJobId: id,
    localAddress: '127.0.0.1',
    runs: 1,
    runStartedAt: now,
    createdAt: now,
    state: 'running',
    failover: true,
    ...over,
  }
}

/** The end of a job that succeeded. */
export function anEnd(over: Partial<JobEnd> = {}): JobEnd {
  return { state: 'success', finishedAt: Date.now(), result: Buffer.from('{"output": 1}'), ...over }
}

/** An answer that is kept under an Idempotency-Key. */
export function anAnswer(over: Partial<IdempotencyRecord> = {}): IdempotencyRecord {
  return {
    caller: '10.0.0.1',
    path: '/api/jobs',
    key: 'once',
    bodyHash: Buffer.alloc(32, 7),
    status: 200,
    contentType: 'application/json',
    body: Buffer.from('{"id": "a"}'),
    createdAt: Date.now(),
    ...over,
  }
}
