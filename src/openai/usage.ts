/** Tokens that an answer says it took. */
export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** How much of an answer's beginning and end is kept to look for its usage, bytes. */
const WINDOW = 8192

const USAGE = /(?<!\\)"usage"\s*:\s*\{/g
const PROMPT = /"(?:prompt|input)_tokens"\s*:\s*(\d+)/
const COMPLETION = /"(?:completion|output)_tokens"\s*:\s*(\d+)/

/**
 * Watches an answer go by, whole or as events, and finds the usage it tells. Services put it first or last, so only both
 * ends are kept, as slices that cost nothing to take.
 */
export class UsageWatch {
  #head = Buffer.alloc(0)
  #tail: Buffer[] = []
  #tailSize = 0

  see(chunk: Buffer): void {
    if (this.#head.length < WINDOW)
      this.#head = Buffer.concat([this.#head, chunk.subarray(0, WINDOW - this.#head.length)])
    this.#tail.push(chunk)
    this.#tailSize += chunk.length
    while (this.#tail.length > 1 && this.#tailSize - (this.#tail[0] as Buffer).length >= WINDOW) {
      this.#tailSize -= (this.#tail.shift() as Buffer).length
    }
  }

  /** What the answer told, the last word of it; `undefined` where it told nothing. */
  usage(): Usage | undefined {
    const tail = Buffer.concat(this.#tail)
    const texts = [tail.subarray(-WINDOW), this.#head]
    for (const bytes of texts) {
      const text = bytes.toString('latin1')
      for (const match of [...text.matchAll(USAGE)].reverse()) {
        const part = text.slice(match.index, match.index + 2000)
        const prompt = PROMPT.exec(part)?.[1]
        const completion = COMPLETION.exec(part)?.[1]
        if (prompt !== undefined || completion !== undefined) {
          return { promptTokens: Number(prompt ?? 0), completionTokens: Number(completion ?? 0) }
        }
      }
    }
    return undefined
  }
}
