/** Tokens that an answer says it took. */
export interface Usage {
  /** All of the prompt, cached or not. */
  readonly promptTokens: number
  readonly completionTokens: number
  /** Those of the prompt that came from the engine's prefix cache; undefined where the answer does not say. */
  readonly cachedTokens?: number
}

/** How much of an answer's beginning and end is kept to look for its usage, bytes. */
const WINDOW = 8192

/** Longest `usage` member, characters. */
const MAX_USAGE = 2000

/** More tokens than that are no count: they would spoil counters for good. */
const MOST_TOKENS = 10_000_000

const NAME = '"usage"'
const BACKSLASH = 0x5c
const USAGE = /^"usage"\s*:\s*\{/
/** The first that is named: services put it before what the model says. */
const MODEL = /"model"\s*:\s*"([^"\\]{1,200})"/
/** Whole numbers alone count tokens. */
const PROMPT = /"prompt_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/
const INPUT = /"input_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/
const COMPLETION = /"(?:completion|output)_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/

const CACHED = /"cached_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/
/** In OpenAI's dialects: `prompt_tokens`, or `input_tokens` with details, count the whole prompt. */
const INPUT_DETAILS = /"input_tokens_details"\s*:/
/**
 * In Anthropic's dialect `input_tokens` leaves out tokens that were read from the cache or written to it. Proxies name these
 * beside `prompt_tokens`, too, which includes them.
 */
const READ_FROM_CACHE = /"cache_read_input_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/
const WRITTEN_TO_CACHE = /"cache_creation_input_tokens"\s*:\s*(\d{1,8})(?![\d.eE])/

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
  /** What was found in all that was seen; null where nothing was looked for since. */
  #found: Usage | undefined | null = null

  see(chunk: Buffer): void {
    this.#found = null
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
    if (this.#found === null) this.#found = this.#find()
    return this.#found
  }

  #find(): Usage | undefined {
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
    const { prompt, completion, cached } = found
    if (prompt === undefined && completion === undefined) return undefined
    const usage = { promptTokens: prompt ?? 0, completionTokens: completion ?? 0 }
    return cached === undefined ? usage : { ...usage, cachedTokens: Math.min(cached, usage.promptTokens) }
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
  /** As told together with the prompt. */
  cached: number | undefined

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
    this.completion ??= numberIn(COMPLETION, text)
    if (this.prompt === undefined) this.#readPrompt(text)
  }

  #readPrompt(text: string): void {
    const namesCache = text.includes('cache')
    const read = namesCache ? numberIn(READ_FROM_CACHE, text) : undefined
    let prompt = numberIn(PROMPT, text)
    if (prompt === undefined) {
      prompt = numberIn(INPUT, text)
      if (prompt === undefined) return
      if (!INPUT_DETAILS.test(text)) prompt += (read ?? 0) + (numberIn(WRITTEN_TO_CACHE, text) ?? 0)
    }
    this.prompt = prompt
    this.cached = namesCache ? (numberIn(CACHED, text) ?? read) : undefined
  }
}

function numberIn(pattern: RegExp, text: string): number | undefined {
  const digits = pattern.exec(text)?.[1]
  const count = Number(digits ?? NaN)
  return count <= MOST_TOKENS ? count : undefined
}
