import { open } from 'node:fs/promises'
import { unwatchFile, watchFile } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often a watched file's state is looked at, ms. Looking by name survives editors that replace the file. */
const LOOK_INTERVAL_MS = 500
/** A change counts once two readings this far apart agree, ms: writers truncate, fill, remove and rename. */
const SETTLE_MS = 100
/** Readings after which a file that never rests is taken as it is. */
const MOST_READINGS = 20
/** Pause before a failed reading is repeated, ms; it doubles up to the longest. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5000
/** A larger file is no list of ours; reading it could take all memory. */
const MAX_FILE_BYTES = 16_000_000

/** What a watched file tells its owner. */
export interface FileListener {
  /** The text at first, after each change and after each `reread()`; `undefined` while there is no such file. */
  onText(text: string | undefined): void | Promise<void>
  /** Reading fails; called once until it succeeds again. */
  onError(error: unknown): void
  /** Reading succeeds again. */
  onRecovery(): void
}

/** The text of a file, followed through changes. A failed reading is repeated until it succeeds. */
export class WatchedFile {
  readonly path: string
  #last: string | undefined | null = null
  #listener: FileListener | undefined
  /** A reading is wanted: another text is delivered, or any text. */
  #wanted: 'nothing' | 'change' | 'any' = 'nothing'
  #isReading = false
  #isFailing = false
  #pauseMs = FIRST_PAUSE_MS
  #retry: NodeJS.Timeout | undefined
  readonly #look = (): void => this.#want('change')

  constructor(path: string) {
    this.path = resolve(path)
  }

  /** Resolves after the first reading, whether it succeeded or not. */
  async start(listener: FileListener): Promise<void> {
    this.#listener = listener
    // Before the first reading, so that no change falls between the two.
    watchFile(this.path, { interval: LOOK_INTERVAL_MS, persistent: false }, this.#look)
    this.#wanted = 'any'
    await this.#readWanted()
  }

  /** Reads the file now, and delivers its text even if that is the same. */
  reread(): void {
    this.#want('any')
  }

  stop(): void {
    unwatchFile(this.path, this.#look)
    clearTimeout(this.#retry)
    this.#listener = undefined
  }

  #want(what: 'change' | 'any'): void {
    if (this.#wanted !== 'any') this.#wanted = what
    void this.#readWanted()
  }

  /** Readings follow one another, so that an older text never comes after a newer one. */
  async #readWanted(): Promise<void> {
    if (this.#isReading) return
    clearTimeout(this.#retry)
    this.#isReading = true
    while (this.#wanted !== 'nothing' && this.#listener) {
      const wanted = this.#wanted
      this.#wanted = 'nothing'
      try {
        await this.#deliver(await this.#readSettled(), wanted === 'any')
      } catch (error) {
        this.#failed(error, wanted)
        break
      }
    }
    this.#isReading = false
  }

  async #deliver(text: string | undefined, evenIfSame: boolean): Promise<void> {
    this.#pauseMs = FIRST_PAUSE_MS
    if (this.#isFailing) this.#listener?.onRecovery()
    this.#isFailing = false
    if (text === this.#last && !evenIfSame) return
    this.#last = text
    await this.#listener?.onText(text)
  }

  #failed(error: unknown, wanted: 'change' | 'any'): void {
    if (!this.#listener) return
    if (!this.#isFailing) this.#listener.onError(error)
    this.#isFailing = true
    // The text may have changed since the last reading that succeeded, and the file's state need not change again.
    this.#retry = setTimeout(() => this.#want(wanted), this.#pauseMs).unref()
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS)
  }

  async #readSettled(): Promise<string | undefined> {
    let text = await readListFile(this.path)
    // The first reading is taken as it is: nothing is known that it could destroy.
    if (this.#last === null) return text
    for (let readings = 1; text !== this.#last && readings < MOST_READINGS; readings++) {
      await sleep(SETTLE_MS, undefined, { ref: false })
      const before = text
      text = await readListFile(this.path)
      if (text === before) break
    }
    return text
  }
}

/** The text of a file; undefined where there is none. */
export async function readListFile(path: string): Promise<string | undefined> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      if (size > MAX_FILE_BYTES) throw new Error(`the file has ${size} bytes; at most ${MAX_FILE_BYTES} are read`)
      return textOf(await file.readFile())
    } finally {
      await file.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The bytes as UTF-8, which is what is understood. Some editors and shells write UTF-16, of which one byte of each letter is 0. */
function textOf(bytes: Buffer): string {
  const [first, second] = bytes
  const isUtf16 =
    second !== undefined &&
    ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || (first === 0) !== (second === 0))
  if (isUtf16) throw new Error('the file is in UTF-16: save it as UTF-8')
  return bytes.toString('utf8')
}
