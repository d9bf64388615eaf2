import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayFault } from '../faults.ts'
import { inTurns, type Steps } from '../base/index.ts'
import type { IdempotencyRecord, Ledger } from '../ledger/index.ts'
import type { KeyUse as KeyScope, SharedKeys } from '../replicas/index.ts'

/** Between two questions for a key that another gateway is at, ms: the first pause, its growth, and the longest one. */
const FIRST_PAUSE_MS = 20
const PAUSE_GROWTH = 1.5
const LONGEST_PAUSE_MS = 250

/** One use of an Idempotency-Key: the same caller, path and key within a day is the same job. */
export interface KeyUse extends KeyScope {
  readonly bodyHash: Buffer
}

interface Turn {
  readonly bodyHash: Buffer
  /** Settles with the answer, if it was one to keep. */
  readonly done: Promise<IdempotencyRecord | undefined>
}

/**
 * Says which answer was accepted. `isStored`: whether the ledger keeps it; else those that wait for it here get it all the same.
 */
export type Keep = (answer: IdempotencyRecord, isStored?: boolean) => void

/** Sees to it that requests with one key run one after the other, and only until one of them was accepted. */
export class Idempotency {
  readonly #ledger: Ledger
  /** The keys over all gateways, where several share the ledger. */
  readonly #shared: SharedKeys | undefined
  readonly #running = new Map<string, Turn>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
    this.#shared = ledger.shared?.coordination.keys
  }

  /**
   * Runs `submit` unless the key was used before; then its first accepted answer is returned, also if that is still to
   * come. `submit` says by `keep` which answer was accepted; a refusal is kept for nobody.
   *
   * @param wait waits while another gateway is at it, ms; rejects when the client has left
   * @throws GatewayFault ERR_KEY_REUSED for other bytes under the key, and what `submit`, the ledger and `wait` throw
   */
  async once(
    use: KeyUse,
    submit: (keep: Keep) => Promise<void>,
    wait: (ms: number) => Promise<unknown> = sleep,
  ): Promise<IdempotencyRecord | undefined> {
    const scope = `${use.caller}\n${use.path}\n${use.key}`
    for (let turn = this.#running.get(scope); turn; turn = this.#running.get(scope)) {
      refuseOtherBody(use, turn.bodyHash)
      const answer = await turn.done
      if (answer) return answer
    }
    let accepted: IdempotencyRecord | undefined
    let isStored = false
    let isOurs = false
    const { promise: done, resolve } = Promise.withResolvers<IdempotencyRecord | undefined>()
    this.#running.set(scope, { bodyHash: use.bodyHash, done })
    try {
      const kept = await (this.#shared ? this.#reserve(this.#shared, use, wait) : this.#kept(use))
      if (kept) {
        accepted = kept
        return kept
      }
      isOurs = true
      await submit((answer, stored = true) => {
        accepted = answer
        isStored = stored
      })
      return undefined
    } finally {
      this.#running.delete(scope)
      resolve(accepted)
      if (isOurs && !isStored) void this.#shared?.release(use)
    }
  }

  /** The answer that is kept under the key. */
  async #kept(use: KeyUse): Promise<IdempotencyRecord | undefined> {
    const kept = await this.#ledger.idempotencyRecord(use.caller, use.path, use.key)
    if (kept) refuseOtherBody(use, kept.bodyHash)
    return kept
  }

  /** The same, or undefined when the key is ours over all gateways; waits while another is at it. */
  async #reserve(
    keys: SharedKeys,
    use: KeyUse,
    wait: (ms: number) => Promise<unknown>,
  ): Promise<IdempotencyRecord | undefined> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * PAUSE_GROWTH, LONGEST_PAUSE_MS)) {
      const turn = await keys.reserve(use)
      if (turn.kind === 'ours') return undefined
      if (turn.kind === 'busy') refuseOtherBody(use, turn.bodyHash)
      else {
        // It may have been removed since, to make room.
        const kept = await this.#kept(use)
        if (kept) return kept
      }
      await wait(pause)
    }
  }
}

function refuseOtherBody(use: KeyUse, bodyHash: Uint8Array): void {
  if (!use.bodyHash.equals(bodyHash)) throw new GatewayFault('ERR_KEY_REUSED')
}

/** Bytes that are hashed in one step, a millisecond or two. */
const HASH_STEP_BYTES = 2 ** 21

/** What tells two bodies apart; made in slices. */
export function hashBody(body: Buffer): Promise<Buffer> {
  return inTurns(hashSteps(body))
}

function* hashSteps(body: Buffer): Steps<Buffer> {
  const hash = createHash('sha256')
  for (let at = 0; at < body.length; at += HASH_STEP_BYTES) {
    hash.update(body.subarray(at, at + HASH_STEP_BYTES))
    yield
  }
  return hash.digest()
}
