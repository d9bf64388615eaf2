import { ANSWER_LIMITS, firstElementsSteps, memberOf, objectSteps, type FirstElements } from '../../json/index.ts'
import type { Logger } from '../../base/logger.ts'
import { inTurns, type Steps } from '../../base/turns.ts'
import type { NodeSpec } from '../address.ts'
import type { ForwardProxies } from '../forwardProxies.ts'
import { jittered } from '../jitter.ts'
import { Polls } from '../polls.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 5_000_000

export interface PolledListOptions {
  readonly intervalSeconds: number
  /** Whether listed addresses may lie in loopback, link-local or private ranges. */
  readonly allowPrivate: boolean
  readonly proxies?: ForwardProxies | undefined
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
}

/** What an entry of a list is: a backend, one in a range that is not allowed, something that is not for us, or nothing usable. */
export type Listed = NodeSpec | 'private' | 'other' | undefined

/** A server that lists backends, and how its answer is read. */
export interface ListServer {
  /** What it is, for the log. */
  readonly name: 'explorer' | 'registry'
  readonly url: string
  readonly params: Readonly<Record<string, string | number>>
  /** The member of its answer that is the list. */
  readonly member: string
  /** Backends that are taken from the list; the rest is left out. */
  readonly most: number
  /** A longer entry is no backend's, bytes. */
  readonly maxEntryBytes: number
  /** What an entry needs, for the log. */
  readonly needs: string
  /** A fresh reader for each list. */
  readonly reader: (allowPrivate: boolean) => (entry: unknown) => Listed
}

/**
 * Backends from a server that is asked again and again. An outage or nonsense keeps the last good list; an empty list is an
 * answer, and believed when it has stayed so.
 */
export class PolledList implements NodeSource {
  readonly name: string
  readonly #server: ListServer
  readonly #options: PolledListOptions
  readonly #logger: Logger
  readonly #nodes: SteadyList<NodeSpec>
  readonly #polls: Polls
  #timer: NodeJS.Timeout | undefined
  #onList: (specs: readonly NodeSpec[]) => void = () => undefined
  #isAsking = false
  #stopped = false
  #failing = false
  /** Entries of the last list that were skipped. */
  #skipped = 0
  /** Entries of the last list that were too many. */
  #tooMany = 0

  constructor(server: ListServer, options: PolledListOptions, logger: Logger) {
    this.name = server.name
    this.#server = server
    this.#options = options
    this.#logger = logger
    this.#polls = new Polls(options.proxies)
    const { believeAfterMs } = options
    this.#nodes = new SteadyList({ what: `list of the ${server.name}`, fields: {}, logger, believeAfterMs })
  }

  async start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    this.#onList = onList
    await this.#askAndAgain()
  }

  reread(): void {
    void this.#askAndAgain()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#polls.close()
  }

  /** Asks now, and then once an interval; sooner where a loss is to be confirmed. */
  async #askAndAgain(): Promise<void> {
    if (this.#isAsking || this.#stopped) return
    clearTimeout(this.#timer)
    this.#isAsking = true
    await this.#ask()
    this.#isAsking = false
    if (this.#stopped) return
    const pauseMs = Math.min(jittered(this.#options.intervalSeconds) * 1000, this.#nodes.confirmInMs ?? Infinity)
    this.#timer = setTimeout(() => void this.#askAndAgain(), pauseMs).unref()
  }

  async #ask(): Promise<void> {
    const { name, url, params } = this.#server
    try {
      const answer = await this.#polls.get<Buffer>(url, {
        params,
        timeout: TIMEOUT_MS,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        maxContentLength: MAX_ANSWER_BYTES,
        responseType: 'arraybuffer',
      })
      const specs = await inTurns(this.#read(answer.data))
      if (this.#failing) this.#logger.info(`${name} answers again`, { nodes: specs.length })
      this.#failing = false
      if (!this.#stopped && this.#nodes.offer(specs)) this.#onList(specs)
    } catch (error) {
      if (this.#failing || this.#stopped) return
      this.#failing = true
      this.#logger.warn(`${name} gave no usable list, keeping the last good one`, { error })
    }
  }

  *#read(body: Buffer): Steps<NodeSpec[]> {
    const { name, most, maxEntryBytes, needs, reader } = this.#server
    const entries = yield* this.#entriesOf(body)
    const read = reader(this.#options.allowPrivate)
    const specs: NodeSpec[] = []
    let isAnyListed = false
    let skipped = 0
    let others = 0
    for (const { start, end } of entries.elements) {
      yield
      if (specs.length === most) break
      const listed = end - start > maxEntryBytes ? undefined : read(JSON.parse(body.toString('utf8', start, end)))
      isAnyListed ||= listed !== undefined
      if (typeof listed === 'object') specs.push(listed)
      else if (listed === 'other') others++
      else skipped++
    }
    if (entries.count > 0 && !isAnyListed) throw new Error(`no entry of the ${name} answer has ${needs}`)
    this.#warnOfSkipped(skipped, entries.count - skipped - others - specs.length)
    return specs
  }

  /** Once for each number that is larger than the last. */
  #warnOfSkipped(skipped: number, tooMany: number): void {
    const { name, most } = this.#server
    if (skipped > this.#skipped) {
      this.#logger.warn(`${name} entries skipped: no usable address, or one in a range that is not allowed`, {
        skipped,
      })
    }
    if (tooMany > this.#tooMany) {
      this.#logger.warn(`${name} lists too many nodes, the rest is left out`, { most, leftOut: tooMany })
    }
    this.#skipped = skipped
    this.#tooMany = tooMany
  }

  /** As many as there may be backends, and some more in place of those that are skipped. */
  *#entriesOf(body: Buffer): Steps<FirstElements> {
    const { name, member, most } = this.#server
    const members = yield* objectSteps(body, 0, body.length, ANSWER_LIMITS)
    const list = memberOf(members, member)
    if (list?.kind !== 'array') throw new Error(`${name} answer has no list "${member}"`)
    return yield* firstElementsSteps(body, list, 2 * most)
  }
}
