/** Tokens that an answer says it took. */
export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** How much of an answer's beginning and end is kept to look for its usage, bytes. */
const WINDOW = 8192

/** Longest `usage` member, characters. */
const MAX_USAGE = 2000

const USAGE = /(?<!\\)"usage"\s*:\s*\{/g
/** What has more than 15 digits is no count of tokens. */
const PROMPT = /"(?:prompt|input)_tokens"\s*:\s*(\d{1,15})(?!\d)/
const COMPLETION = /"(?:completion|output)_tokens"\s*:\s*(\d{1,15})(?!\d)/

/**
 * Watches an answer go by, whole or as events, and finds the usage it tells. Services put it first or last, so only both
 * ends are kept, as slices that cost nothing to take.
 */
export class UsageWatch {
  readonly #head: Buffer[] = []
  #headSize = 0
  /** The end, as its last pieces and those before them: what is too old goes all at once, which is cheaper than one by one. */
  #tail: Buffer[] = []
  #tailSize = 0
  #beforeTail: Buffer[] = []

  see(chunk: Buffer): void {
    if (this.#headSize < WINDOW) {
      this.#head.push(chunk)
      this.#headSize += chunk.length
    }
    if (this.#tailSize >= WINDOW) {
      this.#beforeTail = this.#tail
      this.#tail = []
      this.#tailSize = 0
    }
    this.#tail.push(chunk)
    this.#tailSize += chunk.length
  }

  /** What the answer told, the last word on each kind; `undefined` where it told nothing. */
  usage(): Usage | undefined {
    const tail = Buffer.concat([...this.#beforeTail, ...this.#tail]).subarray(-WINDOW)
    // Some dialects count the prompt at the beginning and the completion at the end.
    const head = Buffer.concat(this.#head).subarray(0, WINDOW)
    const parts = [...usageParts(tail), ...usageParts(head)]
    const prompt = firstNumber(PROMPT, parts)
    const completion = firstNumber(COMPLETION, parts)
    if (prompt === undefined && completion === undefined) return undefined
    return { promptTokens: prompt ?? 0, completionTokens: completion ?? 0 }
  }
}

/** The texts that begin with a `usage` member, the last first. */
function usageParts(bytes: Buffer): string[] {
  const text = bytes.toString('latin1')
  return [...text.matchAll(USAGE)].reverse().map(({ index }) => text.slice(index, index + MAX_USAGE))
}

function firstNumber(pattern: RegExp, parts: readonly string[]): number | undefined {
  for (const part of parts) {
    const digits = pattern.exec(part)?.[1]
    if (digits !== undefined) return Number(digits)
  }
  return undefined
}
