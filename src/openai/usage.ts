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
 * ends are kept: the beginning as slices that cost nothing to take, what follows in a ring of bytes, because thousands of
 * slices that live for seconds cost the garbage collector more than copies do.
 */
export class UsageWatch {
  readonly #head: Buffer[] = []
  #headSize = 0
  #ring: Buffer | undefined
  /** Bytes that went into the ring. */
  #written = 0

  see(chunk: Buffer): void {
    if (this.#headSize < WINDOW) {
      this.#head.push(chunk)
      this.#headSize += chunk.length
      return
    }
    this.#ring ??= Buffer.allocUnsafe(WINDOW)
    const part = chunk.length > WINDOW ? chunk.subarray(-WINDOW) : chunk
    const copied = part.copy(this.#ring, this.#written % WINDOW)
    if (copied < part.length) part.copy(this.#ring, 0, copied)
    this.#written += part.length
  }

  /** What the answer told, the last word on each kind; `undefined` where it told nothing. */
  usage(): Usage | undefined {
    const head = Buffer.concat(this.#head)
    const tail = Buffer.concat([head, ...this.#ringParts()]).subarray(-WINDOW)
    // Some dialects count the prompt at the beginning and the completion at the end.
    const parts = [...usageParts(tail), ...usageParts(head.subarray(0, WINDOW))]
    const prompt = firstNumber(PROMPT, parts)
    const completion = firstNumber(COMPLETION, parts)
    if (prompt === undefined && completion === undefined) return undefined
    return { promptTokens: prompt ?? 0, completionTokens: completion ?? 0 }
  }

  #ringParts(): Buffer[] {
    if (!this.#ring) return []
    const end = this.#written % WINDOW
    return this.#written < WINDOW
      ? [this.#ring.subarray(0, end)]
      : [this.#ring.subarray(end), this.#ring.subarray(0, end)]
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
