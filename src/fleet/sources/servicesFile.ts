import { SkippedLines, type BadLines } from '../../base/badLines.ts'
import { tellReading } from '../../base/fileReadings.ts'
import type { KeptTexts } from '../../base/keptTexts.ts'
import type { NodeSpec } from '../address.ts'
import { SERVICE_MEMBERS, type ReadVariable } from './serviceEntry.ts'
import { readServiceList } from './serviceList.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'
import { WatchedFile } from './watchedFile.ts'

export interface ServicesFileOptions {
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
  /** Looks up the variables that entries refer to as `${NAME}`; all are unset where it is left out. */
  readonly readVariable?: ReadVariable | undefined
  /** Where the entries are noted that were skipped. */
  readonly badLines?: BadLines
  /** Where the last good text is kept for a worker that replaces this one. */
  readonly kept?: KeptTexts | undefined
}

/** OpenAI-compatible services from a JSON file. A file that cannot be read as such keeps the last good list; a bad entry is skipped and logged. */
export class ServicesFile implements NodeSource {
  readonly name = 'services'
  readonly #file: WatchedFile
  readonly #logger: Logger
  readonly #services: SteadyList<NodeSpec>
  readonly #readVariable: ReadVariable
  readonly #badLines: BadLines | undefined
  readonly #kept: KeptTexts | undefined
  #confirmation: NodeJS.Timeout | undefined
  /** What was read last, and the list in it; `undefined` where it is none. */
  #text: string | undefined | null = null
  #listed: readonly NodeSpec[] | undefined

  constructor(path: string, logger: Logger, options: ServicesFileOptions = {}) {
    const { believeAfterMs, readVariable, badLines, kept } = options
    this.#logger = logger
    this.#badLines = badLines
    this.#kept = kept
    this.#readVariable = readVariable ?? (() => undefined)
    this.#file = new WatchedFile(path)
    const fields = { file: this.#file.path }
    this.#services = new SteadyList({ what: 'services file', fields, logger, believeAfterMs })
  }

  async start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    const { path: file } = this.#file
    await this.#file.start({
      onText: (text) => this.#took(text, onList),
      onError: (error) => {
        tellReading('SERVICES_FILE', false)
        this.#logger.warn('services file cannot be read, keeping the last list', { file, error })
      },
      onRecovery: () => {
        tellReading('SERVICES_FILE', this.#listed !== undefined)
        this.#logger.info('services file can be read again', { file })
      },
    })
    if (this.#services.believed === undefined) this.#tookLast(onList)
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
    tellReading('SERVICES_FILE', text !== undefined && this.#listed !== undefined)
    if (!this.#listed) return
    if (text !== undefined) this.#kept?.keep('SERVICES_FILE', text)
    if (this.#services.offer(this.#listed)) onList(this.#listed)
    else this.#confirmation = setTimeout(() => this.#file.reread(), this.#services.confirmInMs).unref()
  }

  /** In place of a file that became unusable: the list that an earlier worker had. */
  #tookLast(onList: (specs: readonly NodeSpec[]) => void): void {
    const last = this.#kept?.last('SERVICES_FILE')
    const specs = last === undefined ? undefined : readServiceList(last, this.#readVariable).specs
    if (specs && this.#services.offer(specs)) onList(specs)
  }

  #parse(text: string | undefined): readonly NodeSpec[] | undefined {
    const { path: file } = this.#file
    if (text === undefined) {
      this.#badLines?.set('SERVICES_FILE', new SkippedLines())
      this.#logger.warn('services file is missing, taken as empty', { file })
      return []
    }
    const { specs, skipped, positions, unknown } = readServiceList(text, this.#readVariable)
    this.#badLines?.set('SERVICES_FILE', skipped)
    if (!specs) {
      const { line, reason } = skipped.kept[0]!
      this.#logger.warn('services file is not a JSON list, keeping the last list', { file, line, reason })
      return undefined
    }
    for (const [index, { line, reason }] of skipped.kept.entries())
      this.#logger.warn('bad entry in the services file, skipped', { file, line, entry: positions[index], reason })
    const more = skipped.total - skipped.kept.length
    if (more > 0) this.#logger.warn('further bad entries in the services file, skipped', { file, entries: more })
    for (const { entry, line, members } of unknown)
      this.#logger.warn('unknown members of an entry in the services file, ignored', {
        ...{ file, line, entry, unknown: members },
        allowed: SERVICE_MEMBERS,
      })
    this.#logger.info('services file read', { file, services: specs.length })
    return specs
  }
}
