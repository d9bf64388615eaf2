import type { PrefixChain } from './prefixChain.ts'

/** What routing knows of a prompt. */
export interface Prompt {
  /** Of its text: the model as the client names it, then all that an engine's prefix cache is keyed by, in its order. */
  readonly chain: PrefixChain
  /** Characters up to the end of the last assistant message, which an earlier answer may have left in a cache; 0 at a first turn. */
  readonly historyCharacters: number
  /** Stands for its conversation: the session that the client names, else its beginning up to the first user message. 52 bits. */
  readonly conversation: number
  /** Whether the client named the session. */
  readonly isNamedSession: boolean
  /** Whether its answer comes as a stream, so that the first token is seen. */
  readonly isStreamed: boolean
}
