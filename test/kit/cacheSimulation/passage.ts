import { PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'

/**
 * A text and what went before it: passages that share their beginning share those objects, so that caches compare them by
 * identity instead of by character.
 */
export class Passage {
  /** From the beginning of the prompt to this passage. */
  readonly path: readonly Passage[]
  /** Characters of this passage alone. */
  readonly length: number
  /** Characters from the beginning to the end of this passage. */
  readonly end: number
  /** Of the whole text up to the end of this passage. To be read only: runs of several policies share it. */
  readonly chain: PrefixChain

  /** Texts of different passages differ from their first characters on, because each begins with its own `label`. */
  constructor(before: Passage | undefined, label: string, text: string) {
    this.path = [...(before?.path ?? []), this]
    this.length = label.length + text.length
    this.end = (before?.end ?? 0) + this.length
    this.chain = before?.chain.fork() ?? new PrefixChain()
    this.chain.add(label)
    this.chain.add(text)
  }
}
