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
  #tail: Buffer[] = []
  #tailSize = 0

  see(chunk: Buffer): void {
    if (this.#headSize < WINDOW) {
      this.#head.push(chunk)
      this.#headSize += chunk.length
    }
    this.#tail.push(chunk)
    this.#tailSize += chunk.length
    while (this.#tail.length > 1 && this.#tailSize - (this.#tail[0] as Buffer).length >= WINDOW) {
      this.#tailSize -= (this.#tail.shift() as Buffer).length
    }
  }

  /** What the answer told, the last word on each kind; `undefined` where it told nothing. */
  usage(): Usage | undefined {
    const tail = Buffer.concat(this.#tail).subarray(-WINDOW)
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
