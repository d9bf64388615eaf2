import type { Passage } from './passage.ts'

/** The prefix cache of an engine: the passages that it has seen, those least recently used evicted from their ends. */
export class EngineCache {
  readonly #capacity: number
  /** Characters of each passage that are cached, from its beginning. The least recently used comes first. */
  readonly #cached = new Map<Passage, number>()
  #size = 0

  /** @param capacity Characters that fit. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Characters at the beginning of a prompt that need not be computed again. */
  warmCharacters(prompt: Passage): number {
    let warm = 0
    for (const passage of prompt.path) {
      const cached = this.#cached.get(passage) ?? 0
      warm += cached
      if (cached < passage.length) break
    }
    return warm
  }

  /** Keeps a whole text. Ends are older than beginnings, because nothing is warm behind a gap. */
  keep(text: Passage): void {
    for (let i = text.path.length - 1; i >= 0; i--) {
      const passage = text.path[i]!
      this.#size += passage.length - (this.#cached.get(passage) ?? 0)
      this.#cached.delete(passage)
      this.#cached.set(passage, passage.length)
    }
    for (const [passage, cached] of this.#cached) {
      const excess = this.#size - this.#capacity
      if (excess <= 0) break
      const evicted = Math.min(cached, excess)
      this.#size -= evicted
      if (evicted === cached) this.#cached.delete(passage)
      else this.#cached.set(passage, cached - evicted)
    }
  }

  clear(): void {
    this.#cached.clear()
    this.#size = 0
  }
}
