/** Part of what was seen before that still counts after each further answer. */
const FADING = 0.9
/** Bytes of a request for one token, while nothing is known of its caller: about what English text in JSON takes. */
const BYTES_PER_TOKEN = 4
/** Tokens of a reply while nothing is known of its caller. */
const MODEST_REPLY = 256
/** Callers remembered: only names of the keys file have a limit of tokens. */
const MOST_CALLERS = 10_000

/** Sums over a caller's recent answers, fading. */
interface Recent {
  promptBytes: number
  promptTokens: number
  replies: number
  replyTokens: number
}

/** What an answer took; undefined where that is not known. */
export interface Spent {
  readonly promptTokens: number | undefined
  readonly replyTokens: number | undefined
}

/** How many tokens requests will take, by what the last ones of their callers took: by what services report, not by what clients claim. */
export class SpendingEstimates {
  readonly #callers = new Map<string, Recent>()

  /** Tokens of a prompt whose request has this many bytes. */
  promptTokens(caller: string, bytes: number): number {
    const { promptBytes, promptTokens } = this.#callers.get(caller) ?? NOTHING
    return promptBytes > 0 ? (bytes * promptTokens) / promptBytes : bytes / BYTES_PER_TOKEN
  }

  /** Tokens of a reply. */
  replyTokens(caller: string): number {
    const { replies, replyTokens } = this.#callers.get(caller) ?? NOTHING
    return replies > 0 ? replyTokens / replies : MODEST_REPLY
  }

  /** An answer to a request of this many bytes has ended. */
  learn(caller: string, bytes: number, { promptTokens, replyTokens }: Spent): void {
    const recent = this.#callers.get(caller) ?? { ...NOTHING }
    if (promptTokens !== undefined && bytes > 0) {
      recent.promptBytes = FADING * recent.promptBytes + bytes
      recent.promptTokens = FADING * recent.promptTokens + promptTokens
    }
    if (replyTokens !== undefined) {
      recent.replies = FADING * recent.replies + 1
      recent.replyTokens = FADING * recent.replyTokens + replyTokens
    }
    this.#remember(caller, recent)
  }

  #remember(caller: string, recent: Recent): void {
    // The least recent caller is the first of the map.
    this.#callers.delete(caller)
    this.#callers.set(caller, recent)
    if (this.#callers.size <= MOST_CALLERS) return
    for (const oldest of this.#callers.keys()) return void this.#callers.delete(oldest)
  }
}

const NOTHING: Readonly<Recent> = { promptBytes: 0, promptTokens: 0, replies: 0, replyTokens: 0 }
