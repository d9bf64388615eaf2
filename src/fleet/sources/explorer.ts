import axios from 'axios'
import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'
import { parseAddress, type NodeSpec } from '../address.ts'
import { jittered } from '../jitter.ts'
import { isPrivate, type IpAddress } from './privateRange.ts'
import type { Logger, NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 5_000_000
/** A node listed without a port listens on Infernet's own. */
const DEFAULT_PORT = 4000

export interface ExplorerOptions {
  /** Base URL of the Node Explorer. */
  readonly apiUrl: string
  readonly intervalSeconds: number
  /** Whether listed addresses may lie in loopback, link-local or private ranges. */
  readonly allowPrivate: boolean
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
  #timer: NodeJS.Timeout | undefined
  #onList: (specs: readonly NodeSpec[]) => void = () => undefined
  #isAsking = false
  #stopped = false
  #failing = false
  /** Entries of the last list that were skipped. */
  #skipped = 0

  constructor(options: ExplorerOptions, logger: Logger) {
    this.#options = options
    this.#logger = logger
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
      const answer = await axios.get<unknown>(`${this.#options.apiUrl.replace(/\/+$/, '')}/api/nodes`, {
        params: { minutes_past: 60 },
        timeout: TIMEOUT_MS,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        maxRedirects: 0,
        maxContentLength: MAX_ANSWER_BYTES,
        proxy: false,
      })
      const specs = this.#read(answer.data)
      if (this.#failing) this.#logger.info('explorer answers again', { nodes: specs.length })
      this.#failing = false
      if (!this.#stopped && this.#nodes.offer(specs)) this.#onList(specs)
    } catch (error) {
      if (this.#failing || this.#stopped) return
      this.#failing = true
      this.#logger.warn('explorer gave no usable list, keeping the last good one', { error })
    }
  }

  #read(body: unknown): NodeSpec[] {
    const data = (body as { data?: unknown } | null)?.data
    if (!Array.isArray(data)) throw new Error('explorer answer has no list "data"')
    const listed = (data as unknown[]).map(readEntry).filter((entry) => entry !== undefined)
    if (data.length > 0 && listed.length === 0) {
      throw new Error('no entry of the explorer answer has an "ip" that is an address, and a valid port')
    }
    const allowed = this.#options.allowPrivate ? listed : listed.filter(({ address }) => !isPrivate(address))
    const skipped = data.length - allowed.length
    if (skipped > this.#skipped) {
      this.#logger.warn('explorer entries skipped: no usable address, or one in a range that is not allowed', {
        skipped,
      })
    }
    this.#skipped = skipped
    return allowed.map(specOf)
  }
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
