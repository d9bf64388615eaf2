import type { NodeSpec } from './address.ts'

/** How long a prefix at which calls were not found stays refused, ms. */
const REFUSED_MS = 60_000
/** A segment of a path that names a version of an API, as in `/api/paas/v4` or `/v1beta/openai`. */
const VERSION_SEGMENT = /^v\d+(?:(?:alpha|beta|p)\d*)?$/i
/** A 404 with these words is about the model, not about the path. */
const MODEL_WORDS = /\bmodel\b|model_not_found/i
/** How much of such an answer is looked at, bytes. */
const MOST_WORDS = 2000

/**
 * Finds the prefix of a service that lists no models, by the answers to its calls: a path that is not there is 404 or 405.
 * Until one is proven, the address gives the first guess: one that names a version needs no `/v1`.
 */
export class PrefixTrials {
  /** Whether the prefix in use is a guess. */
  isOpen = false
  #proven: string | undefined
  /** When each refused prefix may be tried again, monotonic ms. */
  readonly #refused = new Map<string, number>()

  /** The prefix to use where no list tells it; undefined while calls are found at none. */
  guess(spec: NodeSpec): string | undefined {
    const candidates = candidatesOf(spec)
    if (this.#proven !== undefined && candidates.includes(this.#proven)) return this.#proven
    this.isOpen = true
    const now = performance.now()
    return candidates.find((prefix) => (this.#refused.get(prefix) ?? -Infinity) <= now)
  }

  /** A list has told the prefix. */
  close(): void {
    this.isOpen = false
    this.#proven = undefined
    this.#refused.clear()
  }

  /** Takes note of the answer to a call at `prefix`; `body` where it was read. Returns whether that prefix is refused now. */
  answered(prefix: string, status: number, body?: Buffer): boolean {
    if (status === 404 || status === 405) {
      if (status === 404 && body && isAboutModel(body)) return false
      this.#refused.set(prefix, performance.now() + REFUSED_MS)
      return true
    }
    // Whoever refuses a key, or fails, may do so before it looks at the path.
    if (status < 400 || status === 400 || status === 422) {
      this.isOpen = false
      this.#proven = prefix
    }
    return false
  }
}

function candidatesOf({ prefix, basePath }: NodeSpec): readonly string[] {
  if (prefix !== undefined) return [prefix]
  return basePath.split('/').some((segment) => VERSION_SEGMENT.test(segment)) ? ['', '/v1'] : ['/v1', '']
}

function isAboutModel(body: Buffer): boolean {
  return MODEL_WORDS.test(body.toString('latin1', 0, MOST_WORDS))
}
