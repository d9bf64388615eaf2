import { setImmediate as turn } from 'node:timers/promises'
import { withTimeout } from '../../base/withTimeout.ts'
import { AddressError, parseAddressLine, withoutCredentials, type DnsName, type NodeSpec } from '../address.ts'
import { DnsNodes } from './dnsNodes.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'
import { WatchedFile } from './watchedFile.ts'

/** How long the first list waits for names to resolve, seconds. */
const FIRST_LOOKUP_SECONDS = 3
/** Lines that are read in one turn of the event loop: a few milliseconds. */
const LINES_A_TURN = 500
/** Bad lines of one reading that are logged one by one. */
const MOST_BAD_LINES = 100

export interface IpsFileOptions {
  /** Seconds between two look-ups of a `dns://` name. */
  readonly intervalSeconds?: number
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
}

/** Addresses from a file, one a line. A bad line is skipped and logged; a missing file is an empty one, with a warning. */
export class IpsFile implements NodeSource {
  readonly name = 'file'
  readonly #file: WatchedFile
  readonly #logger: Logger
  readonly #entries: SteadyList<NodeSpec | DnsName>
  readonly #names: DnsNodes
  #onList: ((specs: readonly NodeSpec[]) => void) | undefined
  #confirmation: NodeJS.Timeout | undefined
  /** What was read last, and what is in it. */
  #text: string | undefined | null = null
  #read: readonly (NodeSpec | DnsName)[] = []

  constructor(path: string, logger: Logger, { intervalSeconds = 30, believeAfterMs }: IpsFileOptions = {}) {
    this.#logger = logger
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
      onError: (error) => this.#logger.warn('addresses file cannot be read, keeping the last list', { file, error }),
      onRecovery: () => this.#logger.info('addresses file can be read again', { file }),
    })
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
      this.#read = await this.#parse(text ?? '')
      this.#text = text
      this.#logger.info('addresses file read', { file, nodes: this.#read.length })
    }
    if (!this.#onList) return
    clearTimeout(this.#confirmation)
    if (this.#entries.offer(this.#read)) {
      this.#names.follow(this.#read.filter((entry) => entry.kind === 'dns'))
      this.#deliver()
    } else {
      this.#confirmation = setTimeout(() => this.#file.reread(), this.#entries.confirmInMs).unref()
    }
  }

  /** What is spelt out in the file comes first: of two spellings of one node the first stands. */
  #deliver(): void {
    const listed = (this.#entries.believed ?? []).filter((entry) => entry.kind !== 'dns')
    this.#onList?.([...listed, ...this.#names.specs])
  }

  async #parse(text: string): Promise<(NodeSpec | DnsName)[]> {
    const entries: (NodeSpec | DnsName)[] = []
    let badLines = 0
    for (const [index, line] of text
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .entries()) {
      if (index % LINES_A_TURN === LINES_A_TURN - 1) await turn()
      try {
        const entry = parseAddressLine(line)
        if (entry) entries.push(entry)
      } catch (error) {
        if (!(error instanceof AddressError)) throw error
        if (++badLines <= MOST_BAD_LINES) this.#badLine(line, index + 1, error.message)
      }
    }
    if (badLines > MOST_BAD_LINES) {
      const more = badLines - MOST_BAD_LINES
      this.#logger.warn('further bad lines in the addresses file, skipped', { file: this.#file.path, lines: more })
    }
    return entries
  }

  #badLine(text: string, line: number, reason: string): void {
    this.#logger.warn('bad line in the addresses file, skipped', {
      file: this.#file.path,
      line,
      text: withoutCredentials(text).trim().slice(0, 200),
      reason,
    })
  }
}
