import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { limitKeyOf } from '../../base/limitKey.ts'
import type { Logger } from '../../base/logger.ts'
import { utcDayOf } from '../../base/utcDay.ts'
import { UsageTable } from './table.ts'
import { MAX_USAGE_MODEL, type UsageBatch, type UsageCounts, type UsageStore } from './usage.ts'

/** How often what was counted is added to the ledger, ms. A process that is killed loses as much. */
const ADD_EVERY_MS = 1000
/** Rows of a batch: the store does nothing else meanwhile. */
const BATCH_ROWS = 200
/** How long the last rows are tried where the store takes none, and how often, ms. */
const LAST_TRIES_MS = 3000
const TRY_EVERY_MS = 250

export interface UsageCollectorOptions {
  readonly store: UsageStore
  readonly logger: Logger
  /** Epoch ms: usage is counted by date. */
  readonly wallClock?: () => number
}

/**
 * Counts usage in memory and adds it to the ledger once a second. While the ledger cannot be written it is held here, in a bounded
 * number of rows: no count is lost, but some may lose their names (`OTHER_USAGE`).
 */
export class UsageCollector {
  readonly #store: UsageStore
  readonly #logger: Logger
  readonly #wallClock: () => number
  readonly #writer = randomBytes(8).toString('hex')
  #lastNumber = 0
  /** By day: what is in no batch yet. */
  #tables = new Map<number, UsageTable>()
  /** What is to be added next, in order. A batch stays as it is until it was added: it may have been without our learning of it. */
  #batches: UsageBatch[] = []
  #adding: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor({ store, logger, wallClock = Date.now }: UsageCollectorOptions) {
    this.#store = store
    this.#logger = logger
    this.#wallClock = wallClock
  }

  /** Counts a request that was served, with the tokens that it took where its answer told them. */
  count(caller: string, model: string, tokens: Partial<Omit<UsageCounts, 'requests'>> = {}): void {
    const { promptTokens = 0, completionTokens = 0, cachedTokens = 0 } = tokens
    const day = utcDayOf(this.#wallClock())
    const table = this.#tables.get(day) ?? this.#newTable(day)
    table.add(limitKeyOf(caller), boundedModel(model), { requests: 1, promptTokens, completionTokens, cachedTokens })
  }

  /** Adds once a second from now on. */
  start(): void {
    this.#timer = setTimeout(() => {
      const again = (): void => void (this.#timer && this.start())
      // What could not be added is tried again; the ledger itself reports that it cannot be written.
      this.flush().then(again, again)
    }, ADD_EVERY_MS).unref()
  }

  /**
   * Adds all that was counted before.
   *
   * @throws GatewayFault ERR_LEDGER; then it is tried again
   */
  flush(): Promise<void> {
    const adding = this.#adding.then(() => this.#addAll())
    this.#adding = adding.catch(() => {})
    return adding
  }

  /** Adds the last, and no more after that. Never rejects. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const until = performance.now() + LAST_TRIES_MS
    for (;;) {
      try {
        return await this.flush()
      } catch (error) {
        if (performance.now() >= until) {
          const requests = this.#unwritten()
          this.#logger.error('usage is lost: the ledger cannot be written', { requests, error: String(error) })
          return
        }
        await sleep(TRY_EVERY_MS)
      }
    }
  }

  #newTable(day: number): UsageTable {
    const table: UsageTable = new UsageTable(() => this.#rows() - table.size)
    this.#tables.set(day, table)
    return table
  }

  #rows(): number {
    let rows = 0
    for (const { size } of this.#tables.values()) rows += size
    return rows
  }

  async #addAll(): Promise<void> {
    await this.#addBatches()
    this.#makeBatches()
    await this.#addBatches()
  }

  async #addBatches(): Promise<void> {
    for (let next = this.#batches[0]; next; next = this.#batches[0]) {
      await this.#store.add(next)
      this.#batches.shift()
    }
  }

  #makeBatches(): void {
    const rows = [...this.#tables].flatMap(([day, table]) => table.rows(day))
    this.#tables = new Map()
    for (let at = 0; at < rows.length; at += BATCH_ROWS) {
      const number = ++this.#lastNumber
      this.#batches.push({ writer: this.#writer, number, rows: rows.slice(at, at + BATCH_ROWS) })
    }
  }

  /** Requests whose usage is not in the ledger. */
  #unwritten(): number {
    const waiting = [...this.#tables].flatMap(([day, table]) => table.rows(day))
    const rows = [...this.#batches.flatMap((batch) => batch.rows), ...waiting]
    return rows.reduce((sum, { requests }) => sum + requests, 0)
  }
}

/** A client may make a name up where a service takes any. */
function boundedModel(model: string): string {
  return model.length > MAX_USAGE_MODEL ? `${model.slice(0, MAX_USAGE_MODEL - 1)}…` : model
}
