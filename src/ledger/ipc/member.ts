import type { BudgetQuestion, Coordination, KeyUse, Room, RoomLimits } from '../../replicas/index.ts'
import {
  ledgerFault,
  type IdempotencyRecord,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
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
import type { KeptValues } from '../keptValues.ts'
import type { UsageStore } from '../usage/usage.ts'
import type { SharedState } from './lives.ts'
import { HubMembership } from './membership.ts'
import type { Life } from './owners.ts'

/** Records that are read from the ledger at once. */
const READ_AT_ONCE = 200

/** The ledger of one worker: the hub's, in which the worker changes its own unfinished jobs alone. */
export class HubMember implements SharedLedger {
  readonly shared = this
  readonly membership: HubMembership
  readonly coordination: Coordination
  readonly values: KeptValues
  readonly usage: UsageStore
  readonly #state: SharedState
  readonly #onClose: () => void

  constructor(state: SharedState, onClose: () => void) {
    this.#state = state
    this.#onClose = onClose
    this.membership = new HubMembership(state)
    this.values = state.ledger.values
    this.usage = state.ledger.usage
    this.coordination = coordinationOf(state, this.membership, () => this.#refuseIfClosed())
  }

  async unfinished(): Promise<UnfinishedJob[]> {
    return this.ownedBy(this.membership.self)
  }

  /** Reads the records of these jobs alone: there may be many times more of others. */
  async ownedBy(replica: string): Promise<UnfinishedJob[]> {
    this.#refuseIfClosed()
    const { ledger, owners } = this.#state
    const ids = owners.idsOf(replica)
    const jobs: UnfinishedJob[] = []
    for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
      const records = await Promise.all(ids.slice(at, at + READ_AT_ONCE).map((id) => ledger.find(id)))
      for (const record of records) {
        const bytes = record?.state === 'running' ? owners.bytesOf(record, replica) : undefined
        // Else it has ended or changed hands meanwhile, or is still being inserted.
        if (record && bytes !== undefined) jobs.push({ record, bytes })
      }
    }
    return jobs
  }

  async ownerOf(id: string): Promise<string | undefined> {
    this.#refuseIfClosed()
    return this.#state.owners.lifeOf(id)?.name
  }

  async claim(from: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    this.#refuseIfClosed()
    return this.#state.owners.claim(from, this.#life, ids)
  }

  async insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void> {
    this.#refuseIfClosed()
    const { ledger, owners, keys } = this.#state
    const life = this.#life
    // Owned from now on: whatever is asked of a job comes after its insertion.
    const added = owners.insert(life, jobs)
    try {
      await ledger.insert(jobs, answer)
    } catch (error) {
      owners.undo(life, added)
      throw error
    }
    if (answer) keys.release(life, answer)
  }

  async startRun(id: string, run: JobRun, expected: number): Promise<boolean> {
    if (!this.#mayChange(id) || !(await this.#state.ledger.startRun(id, run, expected))) return false
    this.#state.notes.delete(id)
    return true
  }

  async markLeft(id: string): Promise<void> {
    if (!this.#mayChange(id)) return
    this.#state.owners.markLeft(id)
    await this.#state.ledger.markLeft(id)
  }

  async finish(id: string, end: JobEnd): Promise<boolean> {
    return this.#mayChange(id) && this.#ended(id, await this.#state.ledger.finish(id, end))
  }

  async receive(caller: string): Promise<ReceivedResult> {
    this.#refuseIfClosed()
    const { ledger, owners } = this.#state
    const received = await ledger.receive(caller)
    return {
      add: (part, bytes) => received.add(part, bytes),
      finish: async (id, end, isWanted = () => true) => {
        // Also asked at later attempts, when this worker may have died.
        const isWantedStill = (): boolean => owners.isOf(this.#life, id) && this.membership.isSure && isWanted()
        if (this.#mayChange(id) && isWantedStill())
          return this.#ended(id, await received.finish(id, end, isWantedStill))
        received.drop()
        return false
      },
      drop: () => received.drop(),
    }
  }

  async request(id: string): Promise<Buffer | undefined> {
    return this.#isMine(id) ? this.#state.ledger.request(id) : undefined
  }

  async note(id: string, intermediate: Buffer): Promise<void> {
    if (this.#mayChange(id)) this.#state.notes.set(id, intermediate)
  }

  async read(caller: string, ids: readonly string[], options: ReadOptions = {}): Promise<JobStatus[]> {
    this.#refuseIfClosed()
    const statuses = await this.#state.ledger.read(caller, ids, options)
    return options.withIntermediate === false ? statuses : this.#state.notes.applyTo(statuses)
  }

  async find(id: string): Promise<JobRecord | undefined> {
    this.#refuseIfClosed()
    return this.#state.ledger.find(id)
  }

  async browse(query: JobsQuery): Promise<JobsPage> {
    this.#refuseIfClosed()
    return this.#state.ledger.browse(query)
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    this.#refuseIfClosed()
    return this.#state.ledger.list(caller, filter)
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
    this.#refuseIfClosed()
    return this.#state.ledger.idempotencyRecord(caller, path, key)
  }

  async nextReqnum(worker: string): Promise<number> {
    this.#refuseIfClosed()
    return this.#state.ledger.nextReqnum(worker)
  }

  health(): LedgerHealth {
    const { ledger, notes } = this.#state
    const health = ledger.health()
    return notes.bytes > 0 ? { ...health, keptBytes: health.keptBytes + notes.bytes } : health
  }

  async probe(): Promise<boolean> {
    return this.membership.isSure && this.#state.ledger.probe()
  }

  /** Ends this worker's life: its unfinished jobs are orphans. The ledger stays open for the others. */
  async close(): Promise<void> {
    this.membership.end()
    this.#onClose()
  }

  get #life(): Life {
    return this.membership.life
  }

  /** Where the job is another's, or over, its worker has missed that. */
  #mayChange(id: string): boolean {
    if (this.#isMine(id)) return true
    this.membership.disown(id)
    return false
  }

  #isMine(id: string): boolean {
    this.#refuseIfClosed()
    return this.#state.owners.isOf(this.#life, id)
  }

  /** A job with a final state has no owner. */
  #ended(id: string, isEnded: boolean): boolean {
    if (!isEnded) return false
    this.#state.owners.remove(id)
    this.#state.notes.delete(id)
    return true
  }

  #refuseIfClosed(): void {
    if (!this.membership.isSure) throw ledgerFault('it is shutting down')
  }
}

/** What workers share besides the jobs, as one of them uses it. */
function coordinationOf(state: SharedState, membership: HubMembership, refuseIfClosed: () => void): Coordination {
  const { room, keys, budgets, values } = state
  return {
    membership,
    room: {
      take: async (key: string, wanted: Room, limits: RoomLimits) => {
        refuseIfClosed()
        return room.take(membership.life.held, key, wanted, limits)
      },
      get life() {
        return membership.self
      },
      giveBack: (key: string, taken: Room) => {
        if (taken.life === undefined || taken.life === membership.self) room.release(membership.life.held, key, taken)
      },
    },
    keys: {
      reserve: async (use: KeyUse & { bodyHash: Buffer }) => {
        refuseIfClosed()
        return keys.reserve(membership.life, use)
      },
      release: async (use: KeyUse) => keys.release(membership.life, use),
    },
    budgets: {
      take: async (question: BudgetQuestion) => {
        refuseIfClosed()
        return budgets.take(question)
      },
      giveBack: async (budget, count) => budgets.giveBack(budget, count),
      charge: async (budget, count) => budgets.charge(budget, count),
    },
    values: {
      get: async (name, key) => {
        refuseIfClosed()
        return values.get(name, key)
      },
      set: async (name, key, value, ttlMs) => {
        refuseIfClosed()
        values.set(name, key, value, ttlMs)
      },
      delete: async (name, key) => {
        refuseIfClosed()
        values.delete(name, key)
      },
      setOnce: async (name, key, value) => {
        refuseIfClosed()
        return values.setOnce(name, key, value)
      },
    },
  }
}
