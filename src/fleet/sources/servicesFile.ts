import { AddressError, type NodeSpec } from '../address.ts'
import { readServiceEntry, SERVICE_MEMBERS, type ReadVariable } from './serviceEntry.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'
import { WatchedFile } from './watchedFile.ts'

export interface ServicesFileOptions {
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
  /** Looks up the variables that entries refer to as `${NAME}`; all are unset where it is left out. */
  readonly readVariable?: ReadVariable | undefined
}

/** OpenAI-compatible services from a JSON file. A file that cannot be read as such keeps the last good list; a bad entry is skipped and logged. */
export class ServicesFile implements NodeSource {
  readonly name = 'services'
  readonly #file: WatchedFile
  readonly #logger: Logger
  readonly #services: SteadyList<NodeSpec>
  readonly #readVariable: ReadVariable
  #confirmation: NodeJS.Timeout | undefined
  /** What was read last, and the list in it; `undefined` where it is none. */
  #text: string | undefined | null = null
  #listed: readonly NodeSpec[] | undefined

  constructor(path: string, logger: Logger, { believeAfterMs, readVariable }: ServicesFileOptions = {}) {
    this.#logger = logger
    this.#readVariable = readVariable ?? (() => undefined)
    this.#file = new WatchedFile(path)
    const fields = { file: this.#file.path }
    this.#services = new SteadyList({ what: 'services file', fields, logger, believeAfterMs })
  }

  start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    const { path: file } = this.#file
    return this.#file.start({
      onText: (text) => this.#took(text, onList),
      onError: (error) => this.#logger.warn('services file cannot be read, keeping the last list', { file, error }),
      onRecovery: () => this.#logger.info('services file can be read again', { file }),
    })
  }

  reread(): void {
    this.#file.reread()
  }

  stop(): void {
    clearTimeout(this.#confirmation)
    this.#file.stop()
  }

  #took(text: string | undefined, onList: (specs: readonly NodeSpec[]) => void): void {
    clearTimeout(this.#confirmation)
    if (text !== this.#text) this.#listed = this.#parse(text)
    this.#text = text
    if (!this.#listed) return
    if (this.#services.offer(this.#listed)) onList(this.#listed)
    else this.#confirmation = setTimeout(() => this.#file.reread(), this.#services.confirmInMs).unref()
  }

  #parse(text: string | undefined): NodeSpec[] | undefined {
    const { path: file } = this.#file
    if (text === undefined) {
      this.#logger.warn('services file is missing, taken as empty', { file })
      return []
    }
    const entries = parseList(text)
    if (!entries) {
      this.#logger.warn('services file is not a JSON list, keeping the last list', { file })
      return undefined
    }
    const specs = this.#read(entries)
    this.#logger.info('services file read', { file, services: specs.length })
    return specs
  }

  #read(entries: readonly unknown[]): NodeSpec[] {
    const names = new Set<string>()
    const specs: NodeSpec[] = []
    entries.forEach((entry, index) => {
      try {
        const spec = readServiceEntry(entry, this.#readVariable)
        this.#warnOfUnknown(entry as object, index)
        if (names.has(spec.name)) throw new AddressError(`a second service named "${spec.name}"`)
        names.add(spec.name)
        specs.push(spec)
      } catch (error) {
        if (!(error instanceof AddressError)) throw error
        this.#logger.warn('bad entry in the services file, skipped', {
          file: this.#file.path,
          entry: index + 1,
          reason: error.message,
        })
      }
    })
    return specs
  }

  #warnOfUnknown(entry: object, index: number): void {
    const unknown = Object.keys(entry).filter((member) => !SERVICE_MEMBERS.includes(member))
    if (unknown.length === 0) return
    this.#logger.warn('unknown members of an entry in the services file, ignored', {
      file: this.#file.path,
      entry: index + 1,
      unknown: unknown.slice(0, 10).map((member) => member.slice(0, 100)),
      allowed: SERVICE_MEMBERS,
    })
  }
}

function parseList(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
