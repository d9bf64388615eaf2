/** What a simulated server can be told to do wrong, to which requests, and how often. */

/**
 * How a connection is broken: `reset` with a TCP reset, `close` with an orderly end.
 * The other side's kernel may drop what it had received before a reset, never before a close.
 */
export type Break = 'reset' | 'close'

/**
 * `runs`: whether the request takes effect (a job starts) all the same. What cannot answer without: always.
 */
export type Act =
  /** Reads the request, never answers. */
  | { act: 'hang'; runs?: boolean }
  /** Breaks the connection when the request's head came, before the answer, after its head, or amid its body. */
  | { act: 'break'; when?: 'request' | 'answer' | 'head' | 'body'; how?: Break; runs?: boolean }
  /** Answers with something that is no HTTP, and closes. */
  | { act: 'garbage'; bytes?: string; runs?: boolean }
  /** Answers something else. Headers given win over the usual ones. */
  | {
      act: 'answer'
      status?: number
      headers?: Record<string, string>
      body?: string
      contentType?: string
      runs?: boolean
    }
  /** Answers so many seconds late; `runs: false`: is also that late to act. */
  | { act: 'late'; seconds: number; runs?: boolean }
  /** Answers with the head at once, and the body over so many seconds. */
  | { act: 'drip'; seconds: number }
  /** Answers a JSON string of that many bytes. */
  | { act: 'huge'; bytes: number }
  /** Streams: changes what the request itself tells the server to do, e.g. `dieAfter`. */
  | { act: 'script'; script: Record<string, unknown> }

export interface Misdeed<E extends string> {
  /** All endpoints where none is named. */
  endpoint?: E
  /** How many requests it befalls; without a number: until cleared. */
  times?: number
  act: Act
}

/** The misdeeds in force. The newest that fits a request befalls it. */
export class Misbehaviour<E extends string> {
  #misdeeds: { misdeed: Misdeed<E>; left: number }[] = []

  add(misdeed: Misdeed<E>): void {
    this.#misdeeds.unshift({ misdeed, left: misdeed.times ?? Infinity })
  }

  get isActive(): boolean {
    return this.#misdeeds.length > 0
  }

  /** Ends the misdeeds of one endpoint, or all. */
  clear(endpoint?: E): void {
    this.#misdeeds = endpoint ? this.#misdeeds.filter(({ misdeed }) => misdeed.endpoint !== endpoint) : []
  }

  take(endpoint: E | undefined): Act | undefined {
    if (this.#misdeeds.length === 0) return undefined
    const found = this.#misdeeds.find(({ misdeed }) => !misdeed.endpoint || misdeed.endpoint === endpoint)
    if (!found) return undefined
    if (--found.left <= 0) this.#misdeeds = this.#misdeeds.filter((other) => other !== found)
    return found.misdeed.act
  }
}
