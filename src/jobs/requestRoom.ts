import { GatewayFault } from '../faults.ts'
import { limitKeyOf } from '../base/index.ts'
import { JOB_OVERHEAD_BYTES } from '../ledger/index.ts'

/** Part of the ledger that the unfinished requests of one caller may take. */
const CALLERS_PART = 1 / 4
/** Longer lists of containers are not measured: they are no longer than the request that they are from. */
const MOST_MEASURED = 16
/** What JSON adds to an id in a list. */
const BYTES_AROUND_ID = 3

/**
 * About what the ledger keeps of a job until its end; `keptLength` is that of its request, as far as that is kept. Cheap,
 * since a batch asks for thousands at once.
 */
export function roomFor(containers: readonly string[], requestLength: number, keptLength = requestLength): number {
  let listLength = requestLength
  if (containers.length <= MOST_MEASURED) {
    listLength = 2
    for (const id of containers) listLength += id.length + BYTES_AROUND_ID
  }
  return JOB_OVERHEAD_BYTES + listLength + keptLength
}

/**
 * How much of the ledger unfinished requests take: they cannot be removed to make room, so they are admitted only as far
 * as there is some. Counts what is on its way to a node as well as what is recorded.
 */
export class RequestRoom {
  readonly #maxBytes: number
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  /** `maxBytes` is what the ledger may keep. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * Takes room for new requests of a caller: for all of them, or for none.
   *
   * @throws GatewayFault ERR_BODY_TOO_LARGE for more than a caller may ever have, ERR_TOO_MANY_BYTES where the caller has too
   * much, ERR_LEDGER_FULL where all of them have
   */
  take(caller: string, bytes: number): void {
    const unfinished = this.#bytesOf.get(limitKeyOf(caller)) ?? 0
    const limit = Math.floor(this.#maxBytes * CALLERS_PART)
    if (bytes > limit) {
      throw new GatewayFault(
        'ERR_BODY_TOO_LARGE',
        `The requests of one call may take ${limit} bytes of the ledger, a quarter of STATE_MAX_BYTES`,
        { params: { limit, requested: bytes } },
      )
    }
    if (unfinished + bytes > limit) {
      throw new GatewayFault(
        'ERR_TOO_MANY_BYTES',
        `The unfinished requests of one caller may take ${limit} bytes, a quarter of STATE_MAX_BYTES`,
        { params: { limit, unfinished, requested: bytes } },
      )
    }
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new GatewayFault('ERR_LEDGER_FULL')
    }
    this.add(caller, bytes)
  }

  /** Counts requests that are there already, or gives back their room where `bytes` is below 0. */
  add(caller: string, bytes: number): void {
    const key = limitKeyOf(caller)
    const unfinished = (this.#bytesOf.get(key) ?? 0) + bytes
    if (unfinished > 0) this.#bytesOf.set(key, unfinished)
    else this.#bytesOf.delete(key)
    this.#bytes += bytes
  }
}
