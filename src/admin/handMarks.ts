import { GatewayFault } from '../faults.ts'
import type { Ledger } from '../ledger/index.ts'

/** The name of the ledger's value. */
const VALUE = 'drained'
/** Nodes that may be marked at a time. */
const MOST_MARKS = 1000
/** Others may change the list at the same time; more than this in a row is no accident. */
const MOST_TRIES = 20

/** A node that was marked by hand. */
export interface HandMark {
  /** The node's key in the fleet. */
  readonly key: string
  /** As it was named then, so that the mark can be taken off a node that is no longer listed. */
  readonly name: string
  readonly since: string
}

/** Which nodes were drained by hand, kept in the ledger: the same for all gateways that share it, and after a restart. */
export class HandMarks {
  readonly #values: Ledger['values']
  #bytes: Buffer | undefined
  #marks: ReadonlyMap<string, HandMark> = new Map()

  constructor(values: Ledger['values']) {
    this.#values = values
  }

  has(key: string): boolean {
    return this.#marks.has(key)
  }

  /** Keys of marked nodes that had this name. */
  keysNamed(name: string): string[] {
    return [...this.#marks.values()].filter((mark) => mark.name === name).map(({ key }) => key)
  }

  /**
   * Reads the marks as they are now. Returns whether they differ from what was known.
   *
   * @throws GatewayFault ERR_LEDGER while the store is away
   */
  async read(): Promise<boolean> {
    const bytes = await this.#values.get(VALUE)
    if (bytes === this.#bytes || (bytes && this.#bytes?.equals(bytes))) return false
    this.#bytes = bytes
    const marks = bytes ? (JSON.parse(bytes.toString()) as HandMark[]) : []
    this.#marks = new Map(marks.map((mark) => [mark.key, mark]))
    return true
  }

  /** @throws GatewayFault ERR_LEDGER while the store is away, ERR_BAD_REQUEST where too many nodes are marked */
  add(marks: readonly HandMark[]): Promise<void> {
    return this.#change((all) => {
      for (const mark of marks) if (!all.has(mark.key)) all.set(mark.key, mark)
      if (all.size > MOST_MARKS)
        throw new GatewayFault('ERR_BAD_REQUEST', `At most ${MOST_MARKS} nodes can be drained by hand at a time`)
    })
  }

  /** @throws GatewayFault ERR_LEDGER while the store is away */
  remove(keys: readonly string[]): Promise<void> {
    return this.#change((all) => {
      for (const key of keys) all.delete(key)
    })
  }

  async #change(change: (marks: Map<string, HandMark>) => void): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await this.read()
      const marks = new Map(this.#marks)
      change(marks)
      if (marks.size === this.#marks.size) return
      const isReplaced = await this.#values.replace(VALUE, this.#bytes, JSON.stringify([...marks.values()]))
      if (isReplaced) return void (await this.read())
    }
    throw new Error('the list of drained nodes is changed by others all the time')
  }
}
