import { setTimeout as sleep } from 'node:timers/promises'
import { Limit } from '../fleet/limit.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { MemoryBudget, Reservation } from '../http/memory/budget.ts'
import { scanObject } from '../json/index.ts'
import { collect, type BackendRequest } from './attempt.ts'
import { retryAfterSeconds, writtenAtMs } from './exchange.ts'
import type { Transport } from './transport.ts'

/** What each container of a node can do, as the node tells it. */
export type NodeResources = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** A node that is slower than its asker waits still gets this long, so that the next asker has its answer. */
const CALL_TIMEOUT_SECONDS = 10
/** How long an answer serves, at least: many askers cost a node one call a second. */
const FRESH_SECONDS = 1
/** In large fleets answers serve longer, so that asking costs the gateway no more than this many calls a second. */
const MOST_CALLS_PER_SECOND = 500
/** Nodes that are asked at once. */
const MOST_AT_ONCE = 64
/** After so long a call no longer counts as one of those: nodes that hang must not hold up the others. */
const HOLD_SECONDS = 1
/** Answers kept, at least; for large fleets twice their number of nodes. */
const MIN_KEPT = 5_000
const MAX_ANSWER_BYTES = 5_000_000
/** What a node rests from after it pushed back. */
const RESOURCES_PATH = '/resources'

interface Kept {
  resources?: NodeResources
  at: number
}

interface Asking {
  readonly kept: Kept
  readonly ended: Promise<void>
}

/** Asks nodes for their `/resources`, sparingly: what came lately is used again, and what is late is taken from what was known. */
export class Resources {
  readonly #transport: Transport
  readonly #memory: MemoryBudget
  readonly #via: string
  readonly #now: () => number
  /** Answers, the most recently used last. */
  readonly #kept = new Map<string, Kept>()
  /** What is being asked, or waits for its turn to be. */
  readonly #asking = new Map<string, Asking>()
  readonly #limit = new Limit(MOST_AT_ONCE, HOLD_SECONDS)
  #most = MIN_KEPT

  constructor(transport: Transport, memory: MemoryBudget, via: string, now: () => number) {
    this.#transport = transport
    this.#memory = memory
    this.#via = via
    this.#now = now
  }

  /** The resources of each of these nodes, as far as they are known within so many seconds. */
  async of(
    nodes: readonly TrackedNode[],
    modelId: string | undefined,
    waitSeconds: number,
  ): Promise<Map<TrackedNode, NodeResources>> {
    this.#most = Math.max(MIN_KEPT, 2 * nodes.length)
    const freshSeconds = Math.max(FRESH_SECONDS, nodes.length / MOST_CALLS_PER_SECOND)
    const asked: Promise<void>[] = []
    const entries = nodes.map((node) => {
      const { kept, ended } = this.#refreshed(node, modelId, freshSeconds)
      if (ended) asked.push(ended)
      return [node, kept] as const
    })
    if (asked.length > 0) await atMost(Promise.all(asked), waitSeconds)
    const known = new Map<TrackedNode, NodeResources>()
    for (const [node, kept] of entries) if (kept?.resources) known.set(node, kept.resources)
    return known
  }

  #refreshed(node: TrackedNode, modelId: string | undefined, freshSeconds: number): Partial<Asking> {
    const key = `${node.key} ${modelId ?? ''}`
    const asking = this.#asking.get(key)
    if (asking) return asking
    const kept = this.#kept.get(key) ?? { at: -Infinity }
    const now = this.#now()
    const isFresh = now - kept.at < freshSeconds || node.restsFor(RESOURCES_PATH, now) > 0
    if (isFresh || this.#asking.size >= this.#most) {
      if (this.#kept.has(key)) this.#keep(key, kept)
      return { kept }
    }
    // What is being asked is never among what may be forgotten.
    this.#kept.delete(key)
    const ended = this.#ask(node, modelId, kept).finally(() => {
      this.#asking.delete(key)
      this.#keep(key, kept)
    })
    const entry = { kept, ended }
    this.#asking.set(key, entry)
    return entry
  }

  /** Most recently used last, so that the oldest can go first. */
  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    if (this.#kept.size > this.#most) this.#kept.delete(this.#kept.keys().next().value as string)
  }

  async #ask(node: TrackedNode, modelId: string | undefined, kept: Kept): Promise<void> {
    await this.#limit.run(async () => {
      const memory = this.#memory.openOwn()
      try {
        await this.#askWithin(memory, node, modelId, kept)
      } finally {
        memory.release()
      }
    })
  }

  async #askWithin(memory: Reservation, node: TrackedNode, modelId: string | undefined, kept: Kept): Promise<void> {
    const query = modelId === undefined ? '' : `?model_id=${encodeURIComponent(modelId)}`
    const request: BackendRequest = {
      method: 'GET',
      path: `${node.spec.basePath}${RESOURCES_PATH}${query}`,
      headers: ['accept', 'application/json', 'via', this.#via],
      body: null,
    }
    const limits = { timeoutSeconds: CALL_TIMEOUT_SECONDS, maxBytes: MAX_ANSWER_BYTES, alwaysBytes: 0, memory }
    const result = await collect(this.#transport, node, request, limits)
    // Also after a failure, so that a node in trouble is not asked over and over.
    const now = (kept.at = this.#now())
    if (result.kind !== 'answer') return
    const { status, headers, body } = result.answer
    if (status === 429) {
      const seconds = retryAfterSeconds(headers['retry-after'], writtenAtMs(headers))
      node.rest(RESOURCES_PATH, now + seconds, now)
    }
    const resources = status === 200 ? parse(body) : undefined
    if (resources) kept.resources = resources
  }
}

/** Waits for `work`, but no longer than `seconds`. */
async function atMost(work: Promise<unknown>, seconds: number): Promise<void> {
  const ended = new AbortController()
  const late = sleep(seconds * 1000, undefined, { signal: ended.signal }).catch(() => undefined)
  await Promise.race([work, late]).finally(() => ended.abort())
}

function parse(body: Buffer): NodeResources | undefined {
  try {
    // Also refuses what is nested too deep to be written again.
    scanObject(body)
    const value: unknown = JSON.parse(body.toString())
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const isObject = (entry: unknown): boolean => typeof entry === 'object' && entry !== null
    return Object.values(value).every(isObject) ? (value as NodeResources) : undefined
  } catch {
    return undefined
  }
}
