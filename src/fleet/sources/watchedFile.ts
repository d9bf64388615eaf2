import { readFile } from 'node:fs/promises'
import { unwatchFile, watchFile } from 'node:fs'
import { resolve } from 'node:path'

/** How often a watched file's state is looked at, ms. Looking by name survives editors that replace the file. */
const LOOK_INTERVAL_MS = 500

/** The text of a file, at first and after each change; `undefined` while there is no such file. */
export class WatchedFile {
  readonly path: string
  #last: string | undefined | null = null
  #onText: ((text: string | undefined) => void) | undefined
  #onError: (error: unknown) => void
  readonly #look = (): void => void this.#read()

  constructor(path: string, onError: (error: unknown) => void) {
    this.path = resolve(path)
    this.#onError = onError
  }

  async start(onText: (text: string | undefined) => void): Promise<void> {
    this.#onText = onText
    await this.#read()
    watchFile(this.path, { interval: LOOK_INTERVAL_MS, persistent: false }, this.#look)
  }

  stop(): void {
    unwatchFile(this.path, this.#look)
    this.#onText = undefined
  }

  async #read(): Promise<void> {
    let text: string | undefined
    try {
      text = await readFile(this.path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#onError(error)
        return
      }
    }
    if (text === this.#last) return
    this.#last = text
    this.#onText?.(text)
  }
}
