/** A client that asks all replicas for the same jobs over and over. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { isFinal, LONG, wordOf } from './support.ts'

const PAUSE_MS = 20

/**
 * Once a job's end has been told anywhere, it is all that anybody may tell of it: a word that was asked for later and differs is
 * noted, and fails the test in which `stop` is called.
 */
export class Watch {
  /** The first final word about each job. */
  readonly ends = new Map<string, string>()
  readonly #replicas: readonly { url: string }[]
  readonly #ids: readonly string[]
  readonly #violations: string[] = []
  readonly #over = new AbortController()
  readonly #asking: Promise<void[]>

  constructor(t: Cleanup, replicas: readonly { url: string }[], ids: readonly string[]) {
    this.#replicas = replicas
    this.#ids = ids
    this.#asking = Promise.all(replicas.map((replica) => this.#ask(replica)))
    // A replica that answers nonsense fails the test where it stops watching.
    this.#asking.catch(() => undefined)
    t.after(() => this.#over.abort())
  }

  /** Waits until all jobs have ended; returns their final words in the order of the ids. */
  async ended(): Promise<string[]> {
    const look = (): boolean => this.ends.size === this.#ids.length || this.#violations.length > 0
    await eventually(look, { ...LONG, what: `the end of ${this.#ids.length} jobs` })
    return this.#ids.map((id) => this.ends.get(id) ?? '')
  }

  /** Fails if a word ever changed, or if a replica that answers says anything else than the others now. */
  async stop(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => this.#round(replica)))
    this.#over.abort()
    await this.#asking
    assert.deepEqual(this.#violations, [])
  }

  async #ask(replica: { url: string }): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      await this.#round(replica)
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #round(replica: { url: string }): Promise<void> {
    for (const id of this.#ids) {
      if (this.#over.signal.aborted) return
      const known = this.ends.get(id)
      const word = await wordOf(replica, id)
      if (word === undefined) continue
      if (known !== undefined && word !== known) this.#violations.push(`${replica.url}: ${word} after ${known}`)
      // Of words that were under way together the first one stands, and another final one is a violation too.
      const first = this.ends.get(id)
      if (!isFinal(word)) continue
      if (first === undefined) this.ends.set(id, word)
      else if (first !== word) this.#violations.push(`${replica.url}: ${word} and ${first}`)
    }
  }
}
