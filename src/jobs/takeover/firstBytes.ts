import type { AnswerSink, Attempt } from '../../upstream/index.ts'
import { GatewayFault } from '../../faults.ts'

/** Enough to see how a list begins. */
const ENOUGH_BYTES = 100
const BEGINS_WITH_ENTRY = /^\s*\[\s*\{/

/** Reads the first bytes of an answer that may be of any length, and ends its try then. */
export class FirstBytes implements AnswerSink {
  #text = ''
  #attempt: Attempt | undefined

  /** The try whose answer this is; before that is dispatched. */
  belongsTo(attempt: Attempt): void {
    this.#attempt = attempt
  }

  /** Whether the answer is a JSON list that is not empty. */
  get isListWithEntries(): boolean {
    return BEGINS_WITH_ENTRY.test(this.#text)
  }

  begin(status: number): boolean {
    return status === 200
  }

  piece(chunk: Buffer): void {
    this.#text += chunk.toString('latin1', 0, ENOUGH_BYTES)
    if (this.#text.length >= ENOUGH_BYTES) this.#attempt?.abort(new GatewayFault('ERR_NODE_BROKE'))
  }

  end(): void {
    // All that it told is there.
  }

  broke(): void {
    // The first bytes count all the same.
  }
}
