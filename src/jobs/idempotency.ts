import { createHash } from 'node:crypto'
import { GatewayFault } from '../faults.ts'
import { inTurns, type Steps } from '../base/index.ts'
import type { IdempotencyRecord, Ledger } from '../ledger/index.ts'

/** One use of an Idempotency-Key: the same caller, path and key within a day is the same job. */
export interface KeyUse {
  readonly caller: string
  readonly path: string
  readonly key: string
  readonly bodyHash: Buffer
}

interface Turn {
  readonly bodyHash: Buffer
  /** Settles with the answer, if it was one to keep. */
  readonly done: Promise<IdempotencyRecord | undefined>
}

/** Sees to it that requests with one key run one after the other, and only until one of them was accepted. */
export class Idempotency {
  readonly #ledger: Ledger
  readonly #running = new Map<string, Turn>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /**
   * Runs `submit` unless the key was used before; then its first accepted answer is returned, also if that is still to
   * come. `submit` says by `keep` which answer was accepted; a refusal is kept for nobody.
   *
   * @throws GatewayFault ERR_KEY_REUSED for other bytes under the key, and what `submit` throws
   */
  async once(
    use: KeyUse,
    submit: (keep: (answer: IdempotencyRecord) => void) => Promise<void>,
  ): Promise<IdempotencyRecord | undefined> {
    const scope = `${use.caller}\n${use.path}\n${use.key}`
    for (let turn = this.#running.get(scope); turn; turn = this.#running.get(scope)) {
      refuseOtherBody(use, turn.bodyHash)
      const answer = await turn.done
      if (answer) return answer
    }
    let accepted: IdempotencyRecord | undefined
    const { promise: done, resolve } = Promise.withResolvers<IdempotencyRecord | undefined>()
    this.#running.set(scope, { bodyHash: use.bodyHash, done })
    try {
      const kept = await this.#ledger.idempotencyRecord(use.caller, use.path, use.key)
      if (kept) {
        refuseOtherBody(use, kept.bodyHash)
        accepted = kept
        return kept
      }
      await submit((answer) => (accepted = answer))
      return undefined
    } finally {
      this.#running.delete(scope)
      resolve(accepted)
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
