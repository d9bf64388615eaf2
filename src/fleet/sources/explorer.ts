import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'
import { ANSWER_LIMITS, firstElementsSteps, memberOf, objectSteps, type FirstElements } from '../../json/index.ts'
import { inTurns, type Steps } from '../../base/turns.ts'
import { parseAddress, type NodeSpec } from '../address.ts'
import type { ForwardProxies } from '../forwardProxies.ts'
import { jittered } from '../jitter.ts'
import { Polls } from '../polls.ts'
import { isPrivate, type IpAddress } from './privateRange.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 5_000_000
/** Nodes that are taken from the list; the rest is left out. */
const MOST_NODES = 10_000
/** A longer entry is no node's, bytes. */
const MAX_ENTRY_BYTES = 16 * 1024
/** A node listed without a port listens on Infernet's own. */
const DEFAULT_PORT = 4000

export interface ExplorerOptions {
  /** Base URL of the Node Explorer. */
  readonly apiUrl: string
  readonly intervalSeconds: number
  /** Whether listed addresses may lie in loopback, link-local or private ranges. */
  readonly allowPrivate: boolean
  readonly proxies?: ForwardProxies | undefined
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
}

/**
 * Addresses from a Node Explorer. An outage or nonsense keeps the last good list; an empty list is an answer, and
 * believed when it has stayed so.
 */
export class Explorer implements NodeSource {
  readonly name = 'explorer'
  readonly #options: ExplorerOptions
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

  constructor(options: ExplorerOptions, logger: Logger) {
    this.#options = options
    this.#logger = logger
    this.#polls = new Polls(options.proxies)
    const { believeAfterMs } = options
    this.#nodes = new SteadyList({ what: 'list of the explorer', fields: {}, logger, believeAfterMs })
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
    try {
      const answer = await this.#polls.get<Buffer>(`${this.#options.apiUrl.replace(/\/+$/, '')}/api/nodes`, {
        params: { minutes_past: 60 },
        timeout: TIMEOUT_MS,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        maxContentLength: MAX_ANSWER_BYTES,
        responseType: 'arraybuffer',
      })
      const specs = await inTurns(this.#read(answer.data))
      if (this.#failing) this.#logger.info('explorer answers again', { nodes: specs.length })
      this.#failing = false
      if (!this.#stopped && this.#nodes.offer(specs)) this.#onList(specs)
    } catch (error) {
      if (this.#failing || this.#stopped) return
      this.#failing = true
      this.#logger.warn('explorer gave no usable list, keeping the last good one', { error })
    }
  }

  *#read(body: Buffer): Steps<NodeSpec[]> {
    const entries = yield* entriesOf(body)
    const specs: NodeSpec[] = []
    let isAnyListed = false
    let skipped = 0
    for (const { start, end } of entries.elements) {
      yield
      if (specs.length === MOST_NODES) break
      const entry = end - start > MAX_ENTRY_BYTES ? undefined : readEntry(JSON.parse(body.toString('utf8', start, end)))
      isAnyListed ||= entry !== undefined
      if (entry && (this.#options.allowPrivate || !isPrivate(entry.address))) specs.push(specOf(entry))
      else skipped++
    }
    if (entries.count > 0 && !isAnyListed) {
      throw new Error('no entry of the explorer answer has an "ip" that is an address, and a valid port')
    }
    this.#warnOfSkipped(skipped, entries.count - skipped - specs.length)
    return specs
  }

  /** Once for each number that is larger than the last. */
  #warnOfSkipped(skipped: number, tooMany: number): void {
    if (skipped > this.#skipped) {
      this.#logger.warn('explorer entries skipped: no usable address, or one in a range that is not allowed', {
        skipped,
      })
    }
    if (tooMany > this.#tooMany) {
      this.#logger.warn('explorer lists too many nodes, the rest is left out', { most: MOST_NODES, leftOut: tooMany })
    }
    this.#skipped = skipped
    this.#tooMany = tooMany
  }
}

/** The entries under "data": as many as there may be nodes, and some more in place of those that are skipped. */
function* entriesOf(body: Buffer): Steps<FirstElements> {
  const members = yield* objectSteps(body, 0, body.length, ANSWER_LIMITS)
  const data = memberOf(members, 'data')
  if (data?.kind !== 'array') throw new Error('explorer answer has no list "data"')
  return yield* firstElementsSteps(body, data, 2 * MOST_NODES)
}

interface Entry {
  readonly address: IpAddress
  readonly port: number
}

function readEntry(entry: unknown): Entry | undefined {
  // A zone, as in fe80::1%eth0, means something only on the host that says it.
  if (!hasIp(entry) || isIP(entry.ip) === 0 || entry.ip.includes('%')) return undefined
  const port = portOf(entry)
  // An IPv4 address in IPv6 clothes is the IPv4 address.
  return port === undefined ? undefined : { address: ipaddr.process(entry.ip), port }
}

function specOf({ address, port }: Entry): NodeSpec {
  return parseAddress(address.kind() === 'ipv6' ? `[${address.toString()}]:${port}` : `${address.toString()}:${port}`)
}

function hasIp(entry: unknown): entry is { ip: string; port?: unknown } {
  return typeof (entry as { ip?: unknown } | null)?.ip === 'string'
}

/** A number or its digits; undefined for anything else. */
function portOf({ port }: { port?: unknown }): number | undefined {
  if (port === undefined || port === null) return DEFAULT_PORT
  const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port
  return Number.isInteger(number) && (number as number) >= 1 && (number as number) <= 65535
    ? (number as number)
    : undefined
}
