import {
  inTurns,
  type Identity,
  type MemoryBudget,
  type Reservation,
  Semaphore,
  Slice,
  withTimeout,
} from '../base/index.ts'
import type { TrackedNode } from '../fleet/index.ts'
import { objectSteps, PLAIN_LIMITS } from '../json/index.ts'
import { type BackendRequest, collect, type Transport } from '../upstream/index.ts'

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
/** Bytes of all that is kept, and what an answer takes besides its text and its key. */
const MOST_KEPT_BYTES = 64_000_000
const KEPT_OVERHEAD = 400
/** A node of a thousand containers tells a kilobyte of each. */
const MAX_ANSWER_BYTES = 1_000_000
/** What a node cools down for after it pushed back. */
const RESOURCES_PATH = '/resources'

/** What a node told, and when. */
interface Kept {
  /** Its answer as it came, an object of objects; gone when others took its place. */
  answer?: Buffer | undefined
  at: number
}

/** A node's answer, as long as it is kept. */
export interface NodeAnswer {
  readonly node: TrackedNode
  /** Read when it is needed: until then it may have been given up for others. */
  readonly answer: Buffer | undefined
}

interface Asking {
  readonly kept: Kept
  readonly ended: Promise<void>
}

/** What is known, and when more will be. */
interface Known {
  readonly kept: Kept
  readonly ended?: Promise<void>
}

class LazyAnswer implements NodeAnswer {
  readonly node: TrackedNode
  readonly #kept: Kept

  constructor(node: TrackedNode, kept: Kept) {
    this.node = node
    this.#kept = kept
  }

  get answer(): Buffer | undefined {
    return this.#kept.answer
  }
}

/** Asks nodes for their `/resources`, sparingly: what came lately is used again, and what is late is taken from what was known. */
export class Resources {
  readonly #transport: Transport
  readonly #memory: MemoryBudget
  readonly #identity: Identity
  readonly #now: () => number
  /** Answers, the most recently used last. */
  readonly #kept = new Map<string, Kept>()
  /** What is being asked, or waits for its turn to be. */
  readonly #asking = new Map<string, Asking>()
  readonly #limit = new Semaphore(MOST_AT_ONCE, HOLD_SECONDS)
  #most = MIN_KEPT
  #keptBytes = 0

  constructor(transport: Transport, memory: MemoryBudget, identity: Identity, now: () => number) {
    this.#transport = transport
    this.#memory = memory
    this.#identity = identity
    this.#now = now
  }

  /** What each of these nodes told, as far as it is known within so many seconds. */
  async of(
    nodes: readonly TrackedNode[],
    modelId: string | undefined,
    waitSeconds: number,
  ): Promise<readonly NodeAnswer[]> {
    this.#most = Math.max(MIN_KEPT, 2 * nodes.length)
    const freshSeconds = Math.max(FRESH_SECONDS, nodes.length / MOST_CALLS_PER_SECOND)
    const asked: Promise<void>[] = []
    const answers: NodeAnswer[] = []
    const slice = new Slice()
    for (const node of nodes) {
      const { kept, ended } = this.#refreshed(node, modelId, freshSeconds)
      if (ended) asked.push(ended)
      answers.push(new LazyAnswer(node, kept))
      if (slice.isOver) await slice.next()
    }
    if (asked.length > 0) await withTimeout(Promise.all(asked), waitSeconds)
    return answers.filter(({ answer }) => answer !== undefined)
  }

  #refreshed(node: TrackedNode, modelId: string | undefined, freshSeconds: number): Known {
    const key = `${node.key} ${modelId ?? ''}`
    const asking = this.#asking.get(key)
    if (asking) return asking
    const kept = this.#kept.get(key) ?? { at: -Infinity }
    const now = this.#now()
    const isFresh = now - kept.at < freshSeconds || node.cooldownSeconds(RESOURCES_PATH, now) > 0
    if (isFresh || this.#asking.size >= this.#most) {
      if (this.#kept.has(key)) this.#keep(key, kept)
      return { kept }
    }
    const ended = this.#ask(node, modelId, kept).then((answer) => {
      this.#asking.delete(key)
      // First the old one, for it is counted with its length.
      this.#forget(key)
      if (answer) kept.answer = answer
      this.#keep(key, kept)
    })
    const entry = { kept, ended }
    this.#asking.set(key, entry)
    return entry
  }

  /** Most recently used last, so that the oldest can go first. */
  #keep(key: string, kept: Kept): void {
    this.#forget(key)
    this.#kept.set(key, kept)
    this.#keptBytes += sizeOf(key, kept)
    while (this.#kept.size > this.#most || this.#keptBytes > MOST_KEPT_BYTES) {
      const [oldest] = this.#kept
      if (!oldest || oldest[0] === key) break
      this.#forget(oldest[0])
      // Whoever is about to answer with it does without.
      oldest[1].answer = undefined
    }
  }

  #forget(key: string): void {
    const kept = this.#kept.get(key)
    if (!kept) return
    this.#kept.delete(key)
    this.#keptBytes -= sizeOf(key, kept)
  }

  async #ask(node: TrackedNode, modelId: string | undefined, kept: Kept): Promise<Buffer | undefined> {
    return await this.#limit.run(async () => {
      const memory = this.#memory.openOwn('resources')
      try {
        return await this.#askWithin(memory, node, modelId, kept)
      } finally {
        memory.release()
      }
    })
  }

  async #askWithin(
    memory: Reservation,
    node: TrackedNode,
    modelId: string | undefined,
    kept: Kept,
  ): Promise<Buffer | undefined> {
    const { via, address } = this.#identity
    const query = modelId === undefined ? '' : `?model_id=${encodeURIComponent(modelId)}`
    const request: BackendRequest = {
      method: 'GET',
      path: `${node.spec.basePath}${RESOURCES_PATH}${query}`,
      headers: ['accept', 'application/json', 'via', via, 'x-forwarded-for', address],
      body: null,
    }
    const limits = { timeoutSeconds: CALL_TIMEOUT_SECONDS, maxBytes: MAX_ANSWER_BYTES, memory }
    const result = await collect(this.#transport, node, request, limits)
    // Also after a failure, so that a node in trouble is not asked over and over.
    const now = (kept.at = this.#now())
    if (result.kind !== 'answer') return undefined
    const { status, headers, body } = result.answer
    if (status === 429) node.pushedBack(RESOURCES_PATH, headers, now)
    return status === 200 ? await read(body) : undefined
  }
}

function sizeOf(key: string, { answer }: Kept): number {
  return KEPT_OVERHEAD + 2 * key.length + (answer?.length ?? 0)
}

/** The answer, if it is an object of objects; a copy, which keeps nothing else in memory. */
async function read(body: Buffer): Promise<Buffer | undefined> {
  try {
    const members = await inTurns(objectSteps(body, 0, body.length, PLAIN_LIMITS))
    const isUsable = members.every(({ kind }) => kind === 'object' || kind === 'array')
    return isUsable ? Buffer.from(body) : undefined
  } catch {
    return undefined
  }
}
