import type { Ledger } from '../../ledger/index.ts'
import type { SharedValues } from '../../replicas/index.ts'
import { inTime } from '../../base/index.ts'

const NAME = 'ridx'
/** Counted beside the tickets of workers, none of which has such an address. */
const COUNTER = 'request_idx'
/** How long a request may come again where its client does not say, and the longest that it may say, seconds. */
const REPLAY_SECONDS = 300
/** Requests remembered; those that came least recently are forgotten first. */
const MOST_REMEMBERED = 20_000
/** Longest text that is remembered of a request. */
const MOST_TEXT = 2000

type IndexLedger = Pick<Ledger, 'nextReqnum' | 'shared'>

/** A request that may come again. */
export interface KnownRequest {
  /** Whose it is: for another caller the index means nothing. */
  readonly caller: string
  /** Key of the worker that it was given last; empty where none was ready yet. */
  readonly worker: string
}

/**
 * The requests of clients that name them by an index over several tries, so that a try counts as the same request. In memory, and
 * where gateways share anything there too; while that is away, a request of another gateway counts as a new one.
 */
export class RequestIndexes {
  readonly #ledger: IndexLedger
  readonly #now: () => number
  /** The one that came last is at the end. */
  readonly #known = new Map<number, KnownRequest & { readonly until: number }>()

  /** `now` tells monotonic seconds. */
  constructor(ledger: IndexLedger, now: () => number) {
    this.#ledger = ledger
    this.#now = now
  }

  /** An index for a new request, never given twice. @throws GatewayFault ERR_LEDGER while none can be given */
  next(): Promise<number> {
    return this.#ledger.nextReqnum(COUNTER)
  }

  /** The request of that index, if it is this caller's and may still come again. Never rejects. */
  async find(index: number, caller: string): Promise<KnownRequest | undefined> {
    if (index === 0) return undefined
    const known = this.#known.get(index)
    const isValid = known && known.until > this.#now()
    const request = isValid ? known : await this.#findShared(index)
    return request?.caller === caller ? request : undefined
  }

  /** Takes note of a try. Settles when other gateways know of it, or cannot be told; never rejects. */
  async note(index: number, request: KnownRequest, replaySeconds = REPLAY_SECONDS): Promise<void> {
    const seconds = Math.min(replaySeconds, REPLAY_SECONDS)
    const { caller, worker } = request
    this.#known.delete(index)
    if (caller.length + worker.length > MOST_TEXT) return
    this.#known.set(index, { caller, worker, until: this.#now() + seconds })
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_REMEMBERED) break
      this.#known.delete(oldest)
    }
    // Redis knows no time to live of 0.
    const ttlMs = Math.max(1, seconds * 1000)
    await inTime(this.#values?.set(NAME, String(index), JSON.stringify([caller, worker]), ttlMs))
  }

  get #values(): SharedValues | undefined {
    return this.#ledger.shared?.coordination.values
  }

  async #findShared(index: number): Promise<KnownRequest | undefined> {
    const value = await inTime(this.#values?.get(NAME, String(index)))
    if (!value) return undefined
    const [caller, worker] = JSON.parse(value.toString()) as [string, string]
    return { caller, worker }
  }
}
