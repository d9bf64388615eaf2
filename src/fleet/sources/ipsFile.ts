import type { BadLines } from '../../base/badLines.ts'
import { tellReading } from '../../base/fileReadings.ts'
import type { KeptTexts } from '../../base/keptTexts.ts'
import { withTimeout } from '../../base/withTimeout.ts'
import type { DnsName, NodeSpec } from '../address.ts'
import { readAddressLines } from './addressLines.ts'
import { DnsNodes } from './dnsNodes.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'
import { WatchedFile } from './watchedFile.ts'

/** How long the first list waits for names to resolve, seconds. */
const FIRST_LOOKUP_SECONDS = 3

export interface IpsFileOptions {
  /** Seconds between two look-ups of a `dns://` name. */
  readonly intervalSeconds?: number
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
  /** Where the lines are noted that were skipped. */
  readonly badLines?: BadLines
  /** Where the last good text is kept for a worker that replaces this one. */
  readonly kept?: KeptTexts | undefined
}

/** Addresses from a file, one a line. A bad line is skipped and logged; a missing file is an empty one, with a warning. */
export class IpsFile implements NodeSource {
  readonly name = 'file'
  readonly #file: WatchedFile
  readonly #logger: Logger
  readonly #entries: SteadyList<NodeSpec | DnsName>
  readonly #names: DnsNodes
  readonly #badLines: BadLines | undefined
  readonly #kept: KeptTexts | undefined
  #onList: ((specs: readonly NodeSpec[]) => void) | undefined
  #confirmation: NodeJS.Timeout | undefined
  /** What was read last, and what is in it. */
  #text: string | undefined | null = null
  #read: readonly (NodeSpec | DnsName)[] = []

  constructor(path: string, logger: Logger, options: IpsFileOptions = {}) {
    const { intervalSeconds = 30, believeAfterMs, badLines, kept } = options
    this.#logger = logger
    this.#badLines = badLines
    this.#kept = kept
    this.#file = new WatchedFile(path)
    const fields = { file: this.#file.path }
    this.#entries = new SteadyList({ what: 'addresses file', fields, logger, believeAfterMs })
    this.#names = new DnsNodes({ intervalSeconds, logger, believeAfterMs }, () => this.#deliver())
  }

  async start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    this.#onList = onList
    const { path: file } = this.#file
    await this.#file.start({
      onText: (text) => this.#took(text),
      onError: (error) => {
        tellReading('IPS_FILE', false)
        this.#logger.warn('addresses file cannot be read, keeping the last list', { file, error })
      },
      onRecovery: () => {
        tellReading('IPS_FILE', true)
        this.#logger.info('addresses file can be read again', { file })
      },
    })
    if (this.#text === null) await this.#tookLast()
    await withTimeout(this.#names.whenTried(), FIRST_LOOKUP_SECONDS)
  }

  reread(): void {
    this.#file.reread()
    this.#names.refresh()
  }

  stop(): void {
    this.#onList = undefined
    clearTimeout(this.#confirmation)
    this.#file.stop()
    this.#names.stop()
  }

  async #took(text: string | undefined): Promise<void> {
    const { path: file } = this.#file
    if (text !== this.#text) {
      if (text === undefined) this.#logger.warn('addresses file is missing, taken as empty', { file })
      // One that was never there is not wanted, perhaps.
      if (text !== undefined || this.#text !== null) tellReading('IPS_FILE', text !== undefined)
      this.#read = await this.#parse(text ?? '')
      this.#text = text
      if (text !== undefined) this.#kept?.keep('IPS_FILE', text)
      this.#logger.info('addresses file read', { file, nodes: this.#read.length })
    }
    if (!this.#onList) return
    clearTimeout(this.#confirmation)
    if (!this.#offer()) {
      this.#confirmation = setTimeout(() => this.#file.reread(), this.#entries.confirmInMs).unref()
    }
  }

  /** In place of a file that became unreadable: the list that an earlier worker had. */
  async #tookLast(): Promise<void> {
    const last = this.#kept?.last('IPS_FILE')
    if (last === undefined) return
    this.#read = await this.#parse(last)
    this.#offer()
  }

  #offer(): boolean {
    if (!this.#entries.offer(this.#read)) return false
    this.#names.follow(this.#read.filter((entry) => entry.kind === 'dns'))
    this.#deliver()
    return true
  }

  /** What is spelt out in the file comes first: of two spellings of one node the first stands. */
  #deliver(): void {
    const listed = (this.#entries.believed ?? []).filter((entry) => entry.kind !== 'dns')
    this.#onList?.([...listed, ...this.#names.specs])
  }

  async #parse(text: string): Promise<readonly (NodeSpec | DnsName)[]> {
    const { path: file } = this.#file
    const { entries, skipped } = await readAddressLines(text)
    this.#badLines?.set('IPS_FILE', skipped)
    for (const { line, entry, reason } of skipped.kept)
      this.#logger.warn('bad line in the addresses file, skipped', { file, line, text: entry, reason })
    const more = skipped.total - skipped.kept.length
    if (more > 0) this.#logger.warn('further bad lines in the addresses file, skipped', { file, lines: more })
    return entries
  }
}
