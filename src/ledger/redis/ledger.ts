import type { RedisUrl } from '../../base/stateUrl.ts'
import type { Logger } from '../../base/logger.ts'
import { type Coordination, ReplicaLife } from '../../replicas/index.ts'
import {
  ledgerFault,
  type IdempotencyRecord,
  type JobEnd,
  type JobFilter,
  type JobRecord,
  type JobRun,
  type JobStatus,
  type LedgerHealth,
  type LedgerLimits,
  type NewJob,
  type ReadOptions,
  type ReceivedResult,
  type SharedLedger,
  type UnfinishedJob,
  type JobsPage,
  type JobsQuery,
} from '../ledger.ts'
import { PendingWrites, type JobChange } from '../pendingWrites.ts'
import type { PortableState } from '../portable.ts'
import { CheckedCalls } from './checkedCalls.ts'
import { RedisConnection } from './connection.ts'
import { coordinationIn } from './coordination/coordination.ts'
import { faultOf } from './coordination/faults.ts'
import { OwedChanges } from './coordination/owedChanges.ts'
import { Reqnums } from './coordination/reqnums.ts'
import { GroupWriter } from './groupWriter.ts'
import { Inserts } from './inserts.ts'
import { RedisKeptValues } from './keptValues.ts'
import { lifeStoreOf } from './lifeStore.ts'
import { Opening } from './opening.ts'
import { RedisPortableState } from './portable.ts'
import { Pruner } from './pruner.ts'
import { RedisReader } from './reader.ts'
import { ReceivedBytes, RECEIVED_GONE, RedisReceivedResult, type FinishReceived } from './received.ts'
import { mayPass, RedisError } from './redisError.ts'
import { finishOperation, finishReceivedOperation, runOperation, type Operation } from './rows.ts'
import { CLAIM } from './scripts/life.ts'
import { MAX_FIELD_BYTES } from './scripts/reads.ts'
import { DONE, NOT_OURS, NOT_RECEIVED } from './scripts/write.ts'
import { RedisUsage } from './usage.ts'
import { Writability } from './writability.ts'

export interface RedisLedgerOptions extends LedgerLimits {
  readonly url: RedisUrl
  /** After this time without a sign of life a gateway counts as dead, ms. */
  readonly replicaTimeoutMs: number
  readonly logger: Logger
}

/** Keeps jobs in Redis, for any number of gateways. */
export class RedisLedger implements SharedLedger {
  readonly shared = this
  readonly coordination: Coordination
  readonly values: RedisKeptValues
  readonly usage: RedisUsage
  readonly #connection: RedisConnection
  readonly #redis: CheckedCalls
  readonly #life: ReplicaLife
  readonly #writability: Writability
  readonly #writer: GroupWriter
  readonly #pending: PendingWrites
  readonly #inserts: Inserts
  readonly #reader: RedisReader
  readonly #owed: OwedChanges
  readonly #reqnums: Reqnums
  readonly #pruner: Pruner
  readonly #opening: Opening
  #lastReceived = 0
  #isClosed = false

  private constructor({ url, replicaTimeoutMs, logger, ...limits }: RedisLedgerOptions) {
    this.#connection = new RedisConnection(url)
    const redis = (this.#redis = new CheckedCalls(this.#connection))
    this.#reqnums = new Reqnums(redis)
    this.#writability = new Writability(this.#connection, redis, logger)
    const onCounted = (jobs: number, bytes: number): void => this.#writability.counted(jobs, bytes)
    const store = lifeStoreOf(redis, {
      onCounted,
      probe: () => this.#writability.probeIfNeeded(),
      renewConnection: () => this.#connection.renew(),
      writeAgain: async () => {
        this.#opening.check()
        await this.#writer.writeAgain()
        await this.#reqnums.putBack()
      },
    })
    const life = (this.#life = new ReplicaLife({ store, logger, timeoutMs: replicaTimeoutMs }))
    this.#owed = new OwedChanges(life)
    this.#pruner = new Pruner(redis, limits, onCounted)
    this.#writer = new GroupWriter({
      redis,
      life,
      onWritten: (jobs, bytes) => {
        this.#writability.written(jobs, bytes)
        this.#pruner.written(bytes)
      },
    })
    this.#reader = new RedisReader(redis, this.#writer, limits.ttlMs)
    const isClosed = (): boolean => this.#isClosed
    this.#inserts = new Inserts({ redis, writer: this.#writer, life, owed: this.#owed, isClosed })
    this.#pending = new PendingWrites(
      {
        write: this.#write,
        isTemporary: mayPass,
        isWritable: () => this.#writability.isWritable,
        probe: () => this.probe(),
        settlesWhenWritten: true,
      },
      logger,
    )
    this.#writability.on('unwritable', () => this.#pending.keepTrying())
    this.#writability.on('displaced', () => void life.beat())
    // The first time it is not known yet whether this Redis can be used.
    this.#connection.on('ready', () => redis.isOpen && life.reconnected())
    this.#opening = new Opening(this.#connection, {
      redis,
      maxBytes: limits.maxBytes,
      logger,
      onOpen: async () => {
        await life.beat()
        await this.#writability.probe()
        this.#pruner.start()
      },
      onUnfit: this.#writability.refuse,
    })
    this.coordination = coordinationIn(redis, life, this.#owed)
    this.values = new RedisKeptValues(redis)
    this.usage = new RedisUsage(redis)
  }

  /**
   * Connects, and checks that this Redis can be used. One that cannot be reached is waited for only a moment: a gateway serves
   * what needs no ledger meanwhile.
   *
   * @throws LedgerOpenError
   */
  static async open(options: RedisLedgerOptions): Promise<RedisLedger> {
    const ledger = new RedisLedger(options)
    try {
      await ledger.#opening.settled()
    } catch (error) {
      ledger.#isClosed = true
      ledger.#opening.stop()
      ledger.#connection.close()
      throw error
    }
    return ledger
  }

  unfinished(): Promise<UnfinishedJob[]> {
    return this.ownedBy(this.#life.self)
  }

  async ownedBy(replica: string): Promise<UnfinishedJob[]> {
    this.#refuseIfClosed()
    return this.#reader.unfinishedOf(replica)
  }

  async ownerOf(id: string): Promise<string | undefined> {
    this.#refuseIfClosed()
    return (await this.#reader.ownerOf(id))?.owner
  }

  async claim(from: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    this.#refuseIfClosed()
    if (ids.length === 0) return new Set()
    this.#writer.flush()
    try {
      const won = (await this.#redis.run(CLAIM, [this.#life.self, from, ...ids])) as Buffer[]
      return new Set(won.map(String))
    } catch (error) {
      throw faultOf(error)
    }
  }

  async insert(jobs: readonly NewJob[], answer?: IdempotencyRecord): Promise<void> {
    this.#refuseIfClosed()
    const { reason } = this.#writability
    if (reason !== undefined) throw ledgerFault(reason)
    await this.#inserts.insert(jobs, answer)
  }

  startRun(id: string, run: JobRun, expected: number): Promise<boolean> {
    return this.#change(id, { start: { run, expected } })
  }

  async markLeft(id: string): Promise<void> {
    await this.#change(id, { isLeft: true })
  }

  finish(id: string, end: JobEnd): Promise<boolean> {
    return this.#change(id, { end })
  }

  async note(id: string, intermediate: Buffer): Promise<void> {
    if (this.#isClosed || !this.#writability.isWritable || intermediate.length > MAX_FIELD_BYTES) return
    await this.#writeOperation(id, ['N', id, intermediate]).catch(() => {})
  }

  async receive(caller: string): Promise<ReceivedResult> {
    this.#refuseIfClosed()
    const { reason } = this.#writability
    if (reason !== undefined) throw ledgerFault(reason)
    const finish: FinishReceived = (id, end, received, isWanted = () => true) => {
      const write = async (): Promise<boolean> =>
        isWanted() && this.#writeOperation(id, finishReceivedOperation(id, end, received)).catch(unlessGone)
      return this.#pending.end(id, write).catch(this.#throwFault)
    }
    return new RedisReceivedResult(this.#newReceived(caller), finish, faultOf)
  }

  async request(id: string): Promise<Buffer | undefined> {
    this.#refuseIfClosed()
    const job = await this.#reader.ownerOf(id, true)
    if (!job) return undefined
    if (job.owner === this.#life.self) return job.request
    this.#life.disown(id)
    return undefined
  }

  async read(caller: string, ids: readonly string[], options?: ReadOptions): Promise<JobStatus[]> {
    return (await this.#trustedReader()).read(caller, ids, options)
  }

  async find(id: string): Promise<JobRecord | undefined> {
    return (await this.#trustedReader()).find(id)
  }

  async browse(query: JobsQuery): Promise<JobsPage> {
    return (await this.#trustedReader()).browse(query, this.#life)
  }

  async list(caller: string, filter: JobFilter): Promise<string[]> {
    return (await this.#trustedReader()).list(caller, filter)
  }

  async idempotencyRecord(caller: string, path: string, key: string): Promise<IdempotencyRecord | undefined> {
    this.#refuseIfClosed()
    return this.#reader.idempotencyRecord(caller, path, key)
  }

  async nextReqnum(worker: string): Promise<number> {
    this.#refuseIfClosed()
    return this.#reqnums.next(worker).catch((error: unknown) => {
      throw faultOf(error)
    })
  }

  /** All that is kept, for `--copy-state`. */
  portable(): PortableState {
    return new RedisPortableState(this.#redis, (caller) => this.list(caller, 'all'))
  }

  health(): LedgerHealth {
    const { reason, jobs, keptBytes } = this.#writability
    const why = this.#isClosed ? 'it is shutting down' : reason
    return {
      writable: why === undefined,
      ...(why !== undefined && { reason: why }),
      keptBytes,
      jobs,
      held: this.#pending.size,
    }
  }

  async probe(): Promise<boolean> {
    return !this.#isClosed && (await this.#writability.probe())
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#opening.stop()
    this.#pruner.stop()
    await this.#pending.close(ledgerFault('it is shutting down'))
    this.#writer.flush()
    await this.#life.end()
    this.#isClosed = true
    this.#connection.close()
  }

  #newReceived(caller: string): ReceivedBytes {
    const options = { redis: this.#redis, owed: this.#owed, onCounted: this.#writability.counted }
    return new ReceivedBytes(this.#life.self, ++this.#lastReceived, caller, options)
  }

  async #change(id: string, change: JobChange): Promise<boolean> {
    this.#refuseIfClosed()
    return this.#pending.change(id, change).catch(this.#throwFault)
  }

  readonly #throwFault = (error: unknown): never => {
    throw error instanceof RedisError ? faultOf(error) : error
  }

  /** Writes a change of a job in one group; false if its last part does not apply to the job. */
  readonly #write = async (id: string, { start, isLeft, end }: JobChange): Promise<boolean> => {
    const parts: Promise<boolean>[] = []
    if (start) parts.push(this.#writeOperation(id, runOperation(id, start.run, start.expected)))
    if (isLeft) parts.push(this.#writeOperation(id, ['L', id]))
    if (end) parts.push(this.#finish(id, end))
    return (await Promise.all(parts)).at(-1)!
  }

  #finish(id: string, end: JobEnd): Promise<boolean> {
    const bytes = end.result.length + (end.intermediate?.length ?? 0)
    return bytes > MAX_FIELD_BYTES ? this.#finishLarge(id, end) : this.#writeOperation(id, finishOperation(id, end))
  }

  async #finishLarge(id: string, end: JobEnd): Promise<boolean> {
    const caller = (await this.#redis.call(['HGET', `${this.#redis.prefix}j:${id}`, 'c'])) as Buffer | null
    if (caller === null) return false
    const received = this.#newReceived(String(caller))
    let isTaken = false
    try {
      await received.addAll(end)
      isTaken = await this.#writeOperation(id, finishReceivedOperation(id, end, received))
    } finally {
      received.drop(isTaken)
    }
    return isTaken
  }

  /** @throws RedisError */
  async #writeOperation(id: string, operation: Operation): Promise<boolean> {
    const outcome = await this.#writer.write(operation)
    if (outcome === NOT_RECEIVED) throw new RedisError(RECEIVED_GONE, 'What was received for the job is gone')
    if (outcome === NOT_OURS) this.#life.disown(id)
    return outcome === DONE
  }

  /** For what is told to clients: no Redis may speak that has not the latest word. */
  async #trustedReader(): Promise<RedisReader> {
    this.#refuseIfClosed()
    if (this.#life.isStoreTrusted || (await this.#life.trustsStore())) return this.#reader
    throw ledgerFault(this.#writability.reason ?? 'Redis has lost its latest changes, which it is being told again')
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw ledgerFault('it is shutting down')
  }
}

/** Nothing brings back what was received and is gone. */
function unlessGone(error: unknown): never {
  throw error instanceof RedisError && error.code === RECEIVED_GONE ? faultOf(error) : error
}
