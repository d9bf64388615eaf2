import { lookup } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { parseAddress, type DnsName, type NodeSpec } from '../address.ts'
import { jittered } from '../jitter.ts'
import { Semaphore } from '../../base/semaphore.ts'
import type { Logger } from '../../base/logger.ts'
import { SteadyList } from './steadyList.ts'

/** A look-up blocks a thread of the process until the system answers; one that takes longer than this, seconds, lets the next start beside it. */
const HOLD_SECONDS = 10
/** Nodes behind one name; further addresses are left out. */
const MOST_ADDRESSES = 1000

export interface DnsNodesOptions {
  /** Seconds between two look-ups of a name. */
  readonly intervalSeconds: number
  readonly logger: Logger
  readonly believeAfterMs?: number | undefined
}

/** The nodes behind names that are listed as `dns://name[:port]`: one for each address, looked up anew again and again. */
export class DnsNodes {
  readonly #options: DnsNodesOptions
  readonly #onChange: () => void
  readonly #names = new Map<string, FollowedName>()
  readonly #limit = new Semaphore(1, HOLD_SECONDS)

  /** `onChange`: the nodes behind some name are others now. */
  constructor(options: DnsNodesOptions, onChange: () => void) {
    this.#options = options
    this.#onChange = onChange
  }

  /** Follows exactly these names from now on. */
  follow(names: readonly DnsName[]): void {
    const wanted = new Map(names.map((name) => [name.key, name]))
    for (const [key, followed] of this.#names) {
      if (wanted.has(key)) continue
      followed.stop()
      this.#names.delete(key)
    }
    for (const [key, name] of wanted) {
      const followed = this.#names.get(key)
      if (followed) followed.name = name
      else this.#names.set(key, new FollowedName(name, this.#limit, this.#options, this.#onChange))
    }
  }

  /** The nodes behind all names, as far as these were resolved. */
  get specs(): NodeSpec[] {
    return [...this.#names.values()].flatMap((name) => name.specs)
  }

  /** Resolves when each name has been looked up once, well or not. */
  async whenTried(): Promise<void> {
    await Promise.all([...this.#names.values()].map((name) => name.tried))
  }

  /** Looks up all names now. */
  refresh(): void {
    for (const name of this.#names.values()) void name.look()
  }

  stop(): void {
    for (const name of this.#names.values()) name.stop()
  }
}

/** An address behind a name. */
interface Address {
  readonly key: string
}

class FollowedName {
  name: DnsName
  /** Settles after the first look-up. */
  readonly tried: Promise<void>
  readonly #limit: Semaphore
  readonly #options: DnsNodesOptions
  readonly #onChange: () => void
  readonly #addresses: SteadyList<Address>
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  #isFailing = false
  #isStopped = false

  constructor(name: DnsName, limit: Semaphore, options: DnsNodesOptions, onChange: () => void) {
    this.name = name
    this.#limit = limit
    this.#options = options
    this.#onChange = onChange
    this.#addresses = new SteadyList({ ...options, what: 'answer for a DNS name', fields: { name: name.name } })
    this.tried = this.look()
  }

  get specs(): NodeSpec[] {
    const { port, concurrency, drain } = this.name
    const more = { ...(concurrency !== undefined && { concurrency }), ...(drain && { drain }) }
    return (this.#addresses.believed ?? []).map(({ key }) => parseAddress(`${key}:${port}`, more))
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** Looks the name up, and again after the interval. Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#isStopped) return
    clearTimeout(this.#timer)
    this.#isLooking = true
    try {
      // getaddrinfo, not a resolver of Node's: it knows the hosts file, and the search domains by which clusters name services.
      const found = await this.#limit.run(() => lookup(this.name.host, { all: true, order: 'verbatim' }))
      if (!this.#isStopped) this.#found(found.map(({ address }) => address))
    } catch (error) {
      this.#failed(error)
    }
    this.#isLooking = false
    if (this.#isStopped) return
    const pauseMs = Math.min(jittered(this.#options.intervalSeconds) * 1000, this.#addresses.confirmInMs ?? Infinity)
    this.#timer = setTimeout(() => void this.look(), pauseMs).unref()
  }

  #found(addresses: readonly string[]): void {
    const { logger } = this.#options
    if (this.#isFailing) logger.info('DNS name resolves again', { name: this.name.name })
    this.#isFailing = false
    // A zone, as in fe80::1%eth0, has no place in a URL. Sorted, because servers answer in turn.
    const usable = [...new Set(addresses)].filter((address) => !address.includes('%')).sort()
    const list = usable.slice(0, MOST_ADDRESSES).map((address) => ({ key: isIPv6(address) ? `[${address}]` : address }))
    const before = this.#addresses.believed
    if (!this.#addresses.offer(list) || isSame(before, list)) return
    logger.info('DNS name resolved', { name: this.name.name, nodes: list.length, leftOut: usable.length - list.length })
    this.#onChange()
  }

  #failed(error: unknown): void {
    if (this.#isFailing || this.#isStopped) return
    this.#isFailing = true
    const hasNodes = (this.#addresses.believed?.length ?? 0) > 0
    const message = hasNodes
      ? 'DNS name does not resolve, keeping its last nodes'
      : 'DNS name does not resolve, no node of it is known'
    this.#options.logger.warn(message, { name: this.name.name, error })
  }
}

function isSame(before: readonly Address[] | undefined, list: readonly Address[]): boolean {
  return before?.length === list.length && list.every(({ key }, index) => before[index]?.key === key)
}
