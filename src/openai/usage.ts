/** Tokens that an answer says it took. */
export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** How much of an answer's beginning and end is kept to look for its usage, bytes. */
const WINDOW = 8192

/** Longest `usage` member, characters. */
const MAX_USAGE = 2000

const NAME = '"usage"'
const BACKSLASH = 0x5c
const USAGE = /^"usage"\s*:\s*\{/
/** The first that is named: services put it before what the model says. */
const MODEL = /"model"\s*:\s*"([^"\\]{1,200})"/
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
    const [first] = this.#head
    const head = first && this.#head.length === 1 ? first : Buffer.concat(this.#head)
    const found = new UsageSearch()
    if (head.length <= WINDOW && !this.#ring) {
      found.searchIn(head)
    } else {
      found.searchIn(Buffer.concat([head, ...this.#ringParts()]).subarray(-WINDOW))
      // Some dialects count the prompt at the beginning and the completion at the end.
      found.searchIn(head.subarray(0, WINDOW))
    }
    const { prompt, completion } = found
    if (prompt === undefined && completion === undefined) return undefined
    return { promptTokens: prompt ?? 0, completionTokens: completion ?? 0 }
  }

  /** The model that the answer names, where that is within its beginning. */
  model(): string | undefined {
    const [, name] = MODEL.exec(Buffer.concat(this.#head).subarray(0, WINDOW).toString('utf8')) ?? []
    return name
  }

  #ringParts(): Buffer[] {
    if (!this.#ring) return []
    const end = this.#written % WINDOW
    return this.#written < WINDOW
      ? [this.#ring.subarray(0, end)]
      : [this.#ring.subarray(end), this.#ring.subarray(0, end)]
  }
}

/** Looks for the last count of each kind. What was found stays. */
class UsageSearch {
  prompt: number | undefined
  completion: number | undefined

  searchIn(bytes: Buffer): void {
    let at = bytes.length
    while (at > 0 && (this.prompt === undefined || this.completion === undefined)) {
      at = bytes.lastIndexOf(NAME, at - 1, 'latin1')
      if (at < 0) return
      if (bytes[at - 1] !== BACKSLASH) this.#read(bytes.toString('latin1', at, at + MAX_USAGE))
    }
  }

  #read(text: string): void {
    if (!USAGE.test(text)) return
    this.prompt ??= numberIn(PROMPT, text)
    this.completion ??= numberIn(COMPLETION, text)
  }
}

function numberIn(pattern: RegExp, text: string): number | undefined {
  const digits = pattern.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
