import { readFile } from 'node:fs/promises'
import { unwatchFile, watchFile } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often a watched file's state is looked at, ms. Looking by name survives editors that replace the file. */
const LOOK_INTERVAL_MS = 500
/** A change counts once two readings this far apart agree, ms: writers truncate, fill, remove and rename. */
const SETTLE_MS = 100
/** Readings after which a file that never rests is taken as it is. */
const MOST_READINGS = 20

/** The text of a file, at first and after each change; `undefined` while there is no such file. */
export class WatchedFile {
  readonly path: string
  #last: string | undefined | null = null
  #onText: ((text: string | undefined) => void) | undefined
  readonly #onError: (error: unknown) => void
  /** Readings follow one another, so that an older text never comes after a newer one. */
  #reading = Promise.resolve()
  readonly #look = (): void => {
    this.#reading = this.#reading.then(() => this.#tell(() => this.#readSettled()))
  }

  constructor(path: string, onError: (error: unknown) => void) {
    this.path = resolve(path)
    this.#onError = onError
  }

  async start(onText: (text: string | undefined) => void): Promise<void> {
    this.#onText = onText
    // Before the first reading, so that no change falls between the two.
    watchFile(this.path, { interval: LOOK_INTERVAL_MS, persistent: false }, this.#look)
    this.#reading = this.#tell(() => this.#read())
    await this.#reading
  }

  stop(): void {
    unwatchFile(this.path, this.#look)
    this.#onText = undefined
  }

  async #tell(read: () => Promise<string | undefined>): Promise<void> {
    let text: string | undefined
    try {
      text = await read()
    } catch (error) {
      this.#onError(error)
      return
    }
    if (text === this.#last) return
    this.#last = text
    this.#onText?.(text)
  }

  async #readSettled(): Promise<string | undefined> {
    let text = await this.#read()
    for (let readings = 1; text !== this.#last && readings < MOST_READINGS; readings++) {
      await sleep(SETTLE_MS, undefined, { ref: false })
      const before = text
      text = await this.#read()
      if (text === before) break
    }
    return text
  }

  async #read(): Promise<string | undefined> {
    try {
      return await readFile(this.path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
}
