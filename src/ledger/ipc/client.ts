import type { Coordination, SharedRoom } from '../../replicas/index.ts'
import {
  ledgerFault,
  PIECE_BYTES,
  resultGone,
  type IdempotencyRecord,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobState,
  type JobStatus,
  type LedgerHealth,
  type NewJob,
  type ReadOptions,
  type ReceivedResult,
  type SharedLedger,
  type UnfinishedJob,
  type JobsPage,
  type JobsQuery,
} from '../ledger.ts'
import { LongBytes } from '../longBytes.ts'
import { unpackApart } from '../packedBytes.ts'
import { bufferOf } from '../sqlite/columns.ts'
import { Calls } from './calls.ts'
import { ClientMembership } from './clientMembership.ts'
import type { Port } from './port.ts'
import { ClientReceivedResult } from './clientReceived.ts'
import { ClientUsage } from './clientUsage.ts'
import { ClientValues } from './clientValues.ts'
import { answerOf, answerRow, healthOf, PARTS, recordOf, recordRow, type StatusRow, type ToWorker } from './wire.ts'

/** What a read takes for each job, as a guess. */
const READ_BYTES = 4096

/** The ledger of the primary, as a worker uses it over the channel between them. When that is lost, everything rejects. */
export class IpcLedger implements SharedLedger {
  readonly shared = this
  readonly coordination: Coordination
  readonly values: ClientValues
  readonly usage: ClientUsage
  readonly #calls: Calls
  readonly #membership: ClientMembership
  #health: LedgerHealth = { writable: false, keptBytes: 0, jobs: 0, held: 0 }
  #lastReceived = 0

  private constructor(port: Port) {
    this.#calls = new Calls((message) => port.send(message))
    this.#membership = new ClientMembership(this.#calls)
    this.values = new ClientValues(this.#calls)
    this.usage = new ClientUsage(this.#calls)
    this.coordination = coordinationOver(this.#calls, this.#membership)
    port.listen(this.#receive, () => this.#end())
  }

  /** Joins the hub of the primary. */
  static async open(port: Port): Promise<IpcLedger> {
    const ledger = new IpcLedger(port)
    const [self, replicas, health] = await ledger.#calls.call('open', [])
    ledger.#health = healthOf([...health])
    ledger.#membership.begin(self, replicas)
    return ledger
  }

  unfinished(): Promise<UnfinishedJob[]> {
    return this.ownedBy(this.#membership.self)
  }

  ownedBy(replica: string): Promise<UnfinishedJob[]> {
    return this.#calls.call('ownedBy', [replica])
  }

  async ownerOf(id: string): Promise<string | undefined> {
    return (await this.#calls.call('ownerOf', [id])) ?? undefined
  }

  async claim(from: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(await this.#calls.call('claim', [from, ids]))
  }

  async insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void> {
    if (this.#calls.isOverloaded) throw ledgerFault('its process does not keep up')
    const rows = jobs.map(({ record, request, room }) => [recordRow(record), request ?? null, room ?? 0] as const)
    await this.#calls.call('insert', [rows.map((row) => [...row]), answer ? answerRow(answer) : null])
  }

  startRun(id: string, run: JobRun, expected: number): Promise<boolean> {
    const { node, nodeJobId, localAddress, runs, runStartedAt } = run
    return this.#calls.call('startRun', [id, { node, nodeJobId, localAddress, runs, runStartedAt }, expected])
  }

  async markLeft(id: string): Promise<void> {
    await this.#calls.call('markLeft', [id])
  }

  finish(id: string, { state, finishedAt, result, intermediate }: JobEnd): Promise<boolean> {
    return this.#calls.call('finish', [id, state, finishedAt, result, intermediate ?? null])
  }

  async receive(caller: string): Promise<ReceivedResult> {
    const number = ++this.#lastReceived
    await this.#calls.call('receive', [number, caller])
    return new ClientReceivedResult(this.#calls, number)
  }

  async request(id: string): Promise<Buffer | undefined> {
    const bytes = await this.#calls.call('request', [id])
    return bytes ? bufferOf(bytes) : undefined
  }

  async note(id: string, intermediate: Buffer): Promise<void> {
    await this.#calls.call('note', [id, intermediate]).catch(() => {})
  }

  async read(
    caller: string,
    ids: readonly string[],
    { withIntermediate = true, inlineBytes = PIECE_BYTES }: ReadOptions = {},
  ): Promise<JobStatus[]> {
    const replyBytes = Math.min(ids.length * READ_BYTES, inlineBytes)
    const rows = await this.#calls.call('read', [caller, ids, withIntermediate, inlineBytes], replyBytes)
    return rows.map((row) => this.#statusOf(caller, row))
  }

  async find(id: string): Promise<JobRecord | undefined> {
    const row = await this.#calls.call('find', [id])
    return row ? recordOf(row) : undefined
  }

  async browse(query: JobsQuery): Promise<JobsPage> {
    const [rows, next] = await this.#calls.call('browse', [query])
    return { jobs: rows.map(recordOf), next: next ?? undefined }
  }

  list(caller: string, filter: JobFilter): Promise<string[]> {
    return this.#calls.call('list', [caller, filter])
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
    const row = await this.#calls.call('idempotencyRecord', [caller, path, key])
    return row ? answerOf(row) : undefined
  }

  nextReqnum(worker: string): Promise<number> {
    return this.#calls.call('nextReqnum', [worker])
  }

  health(): LedgerHealth {
    return this.#health
  }

  probe(): Promise<boolean> {
    return this.#calls.call('probe', []).catch(() => false)
  }

  /** Ends this worker's life; what was asked for before is done first. */
  async close(): Promise<void> {
    await this.#calls.call('close', []).catch(() => {})
    this.#end()
  }

  readonly #receive = (message: unknown): void => {
    const [numbers, values, failures, health, replicas, disowned] = unpackApart(message as ToWorker)
    if (health) this.#health = healthOf(health)
    if (replicas) this.#membership.see(replicas)
    for (const id of disowned) this.#membership.disown(id)
    this.#calls.settle(numbers, values, failures)
  }

  #end(): void {
    this.#membership.end()
    this.#health = { ...this.#health, writable: false, reason: 'it is shutting down' }
    this.#calls.fail()
  }

  #statusOf(caller: string, [id, state, node, ...parts]: StatusRow): JobStatus {
    const [result, intermediate] = PARTS.map((_, part) => this.#bytesOf({ caller, id, part }, parts[part] ?? null))
    return { id, state: state as JobState, node, ...(result && { result }), ...(intermediate && { intermediate }) }
  }

  #bytesOf(of: { caller: string; id: string; part: number }, bytes: StatusRow[3]): Buffer | LongBytes | undefined {
    if (bytes === null) return undefined
    if (typeof bytes !== 'number') return bufferOf(bytes)
    const { caller, id, part } = of
    const read = async (index: number): Promise<Buffer | undefined> => {
      const piece = await this.#calls.call('piece', [caller, id, part, index], PIECE_BYTES)
      return piece ? bufferOf(piece) : undefined
    }
    return new LongBytes(bytes, read, resultGone)
  }
}

/** What workers share besides the jobs, over the channel to the primary. */
function coordinationOver(calls: Calls, membership: ClientMembership): Coordination {
  const room: SharedRoom = {
    get life() {
      return membership.self
    },
    take: async (key, wanted, limits) => (await calls.call('takeRoom', [key, wanted, limits])) ?? undefined,
    giveBack: (key, taken) => calls.post('giveBackRoom', [key, taken]),
  }
  return {
    membership,
    room,
    keys: {
      reserve: async ({ caller, path, key, bodyHash }) => {
        const [kind, otherHash] = await calls.call('reserveKey', [caller, path, key, bodyHash])
        return kind === 'busy' ? { kind, bodyHash: bufferOf(otherHash!) } : { kind }
      },
      release: async ({ caller, path, key }) => calls.post('releaseKey', [caller, path, key]),
    },
    budgets: {
      take: (question) => calls.call('takeBudget', [question]),
      giveBack: async (budget, count) => calls.post('giveBackBudget', [budget, count]),
      charge: async (budget, count) => calls.post('chargeBudget', [budget, count]),
    },
    values: {
      get: async (name, key) => {
        const value = await calls.call('getValue', [name, key])
        return value ? bufferOf(value) : undefined
      },
      set: async (name, key, value, ttlMs) => {
        await calls.call('setValue', [name, key, value, ttlMs])
      },
      delete: async (name, key) => {
        await calls.call('deleteValue', [name, key])
      },
      setOnce: (name, key, value) => calls.call('setValueOnce', [name, key, value]),
    },
  }
}
