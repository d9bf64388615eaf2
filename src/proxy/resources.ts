import type { TrackedNode } from '../fleet/node.ts'
import { collect } from './attempt.ts'
import type { Transport } from './transport.ts'

/** What each container of a node can do, as the node tells it. */
export type NodeResources = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Clients of `/resources` wait one second in all. */
const WAIT_SECONDS = 0.8
/** A node that is slower still gets this long, so that the next asker has its answer. */
const CALL_TIMEOUT_SECONDS = 10
/** Nodes limit how often they may be asked, so an answer serves for a while. */
const FRESH_SECONDS = 10
const MAX_KEPT = 5_000
const MAX_ANSWER_BYTES = 5_000_000

interface Kept {
  resources?: NodeResources
  at: number
  asking?: Promise<void> | undefined
}

/** Asks nodes for their `/resources`, sparingly: what came lately is used again, and what is late is taken from what was known. */
export class Resources {
  readonly #transport: Transport
  readonly #via: string
  readonly #now: () => number
  readonly #kept = new Map<string, Kept>()

  constructor(transport: Transport, via: string, now: () => number) {
    this.#transport = transport
    this.#via = via
    this.#now = now
  }

  /** The resources of each of these nodes, as far as they are known within a second. */
  async of(nodes: readonly TrackedNode[], modelId: string | undefined): Promise<Map<TrackedNode, NodeResources>> {
    const entries = nodes.map((node) => [node, this.#refreshed(node, modelId)] as const)
    const asked = Promise.all(entries.map(([, kept]) => kept.asking ?? Promise.resolve()))
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, WAIT_SECONDS * 1000)
    await Promise.race([asked, late.promise])
    clearTimeout(timer)
    const known = new Map<TrackedNode, NodeResources>()
    for (const [node, { resources }] of entries) if (resources) known.set(node, resources)
    return known
  }

  #refreshed(node: TrackedNode, modelId: string | undefined): Kept {
    const key = `${node.key} ${modelId ?? ''}`
    const kept = this.#kept.get(key) ?? { at: -Infinity }
    // Most recently used last, so that the oldest can go first.
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string)
    if (!kept.asking && this.#now() - kept.at >= FRESH_SECONDS) {
      kept.asking = this.#ask(node, modelId, kept).finally(() => (kept.asking = undefined))
    }
    return kept
  }

  async #ask(node: TrackedNode, modelId: string | undefined, kept: Kept): Promise<void> {
    const query = modelId === undefined ? '' : `?model_id=${encodeURIComponent(modelId)}`
    const result = await collect(
      this.#transport,
      node,
      {
        method: 'GET',
        path: `${node.spec.basePath}/resources${query}`,
        headers: ['accept', 'application/json', 'via', this.#via],
        body: null,
      },
      { timeoutSeconds: CALL_TIMEOUT_SECONDS, maxBytes: MAX_ANSWER_BYTES },
    )
    // Also after a failure, so that a node in trouble is not asked over and over.
    kept.at = this.#now()
    if (result.kind !== 'answer' || result.answer.status !== 200) return
    const resources = parse(result.answer.body)
    if (resources) kept.resources = resources
  }
}

function parse(body: Buffer): NodeResources | undefined {
  try {
    const value: unknown = JSON.parse(body.toString())
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const isObject = (entry: unknown): boolean => typeof entry === 'object' && entry !== null
    return Object.values(value).every(isObject) ? (value as NodeResources) : undefined
  } catch {
    return undefined
  }
}
