import type { JobEnd, ReceivedResult, ResultPart } from '../ledger.ts'
import type { Calls } from './calls.ts'
import { PARTS } from './wire.ts'

/** How often the primary is told whether a result that waits for the store is still wanted, ms. */
const LOOK_EVERY_MS = 1000

/** A result that a worker hands to the primary while it arrives. */
export class ClientReceivedResult implements ReceivedResult {
  readonly #calls: Calls
  readonly #number: number

  constructor(calls: Calls, number: number) {
    this.#calls = calls
    this.#number = number
  }

  async add(part: ResultPart, bytes: Buffer): Promise<void> {
    await this.#calls.call('addPiece', [this.#number, PARTS.indexOf(part), bytes])
  }

  async finish(
    id: string,
    { state, finishedAt }: Pick<JobEnd, 'state' | 'finishedAt'>,
    isWanted: () => boolean = () => true,
  ): Promise<boolean> {
    const look = (): void => {
      if (isWanted()) return
      this.#calls.post('unwanted', [this.#number])
      clearInterval(timer)
    }
    const timer = setInterval(look, LOOK_EVERY_MS).unref()
    try {
      return await this.#calls.call('finishReceived', [this.#number, id, state, finishedAt])
    } finally {
      clearInterval(timer)
    }
  }

  drop(): void {
    this.#calls.post('drop', [this.#number])
  }
}
