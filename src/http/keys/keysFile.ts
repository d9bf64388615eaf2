import type { BadLine, BadLines, SkippedLines } from '../../base/badLines.ts'
import { tellReading } from '../../base/fileReadings.ts'
import type { KeptTexts } from '../../base/keptTexts.ts'
import type { Logger } from '../../base/logger.ts'
import type { KeyRules } from './keyEntry.ts'
import { KeyTable } from './keyTable.ts'
import { readKeysFile } from './readKeysFile.ts'

const CALLER_PREFIX = 'name:'

/** A file whose text is followed through changes. */
export interface FollowedFile {
  readonly path: string
  /** Resolves after the first reading. `onText` gets `undefined` where there is no such file. */
  start(listener: {
    onText(text: string | undefined): void
    onError(error: unknown): void
    onRecovery(): void
  }): Promise<void>
  reread(): void
  stop(): void
}

export interface KeysFileOptions {
  /** Hears what is skipped. */
  readonly badLines?: BadLines
  /** Where the last good text is kept for a worker that replaces this one. */
  readonly kept?: KeptTexts | undefined
}

/** A keys file that cannot be used at the start. The message is one line for the operator. */
class KeysFileError extends Error {}

/** The callers that the keys of a file stand for. What cannot be read keeps the last good set. */
export class KeysFile {
  readonly #file: FollowedFile
  readonly #logger: Logger
  readonly #badLines: BadLines | undefined
  readonly #kept: KeptTexts | undefined
  #table: KeyTable | undefined
  #rules: ReadonlyMap<string, KeyRules> = new Map()
  /** Whether the text that was read last is a list of keys. */
  #isUsable = false
  /** Why it could not be read at first. */
  #fault: string | undefined

  constructor(file: FollowedFile, logger: Logger, { badLines, kept }: KeysFileOptions = {}) {
    this.#file = file
    this.#logger = logger
    this.#badLines = badLines
    this.#kept = kept
  }

  /**
   * Reads the file and follows it from then on.
   *
   * @throws KeysFileError where there is no list of keys to begin with
   */
  async start(): Promise<void> {
    await this.#file.start({
      onText: (text) => this.#took(text),
      onError: (error) => this.#cannotUse(`it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`),
      onRecovery: () => {
        if (this.#isUsable) tellReading('KEYS_FILE', true)
        this.#logger.info('keys file can be read again', { file: this.#file.path })
      },
    })
    if (this.#table || this.#tookLast()) return
    this.stop()
    throw new KeysFileError(`KEYS_FILE: ${this.#file.path}: ${this.#fault ?? 'it cannot be read'}`)
  }

  reread(): void {
    this.#file.reread()
  }

  stop(): void {
    this.#file.stop()
  }

  /** The keys that count now. */
  get table(): KeyTable {
    return this.#table ?? NO_KEYS
  }

  /** What holds for a caller; nothing for one that is not of this file. */
  rulesOf(caller: string): KeyRules {
    return this.#rules.get(caller) ?? NO_RULES
  }

  #took(text: string | undefined): void {
    this.#isUsable = false
    if (text === undefined) return this.#cannotUse('there is no such file')
    const { keys, skipped } = readKeysFile(text)
    this.#badLines?.set('KEYS_FILE', skipped)
    this.#isUsable = keys !== undefined
    if (!keys) return this.#cannotUse(placed(skipped.kept[0]!))
    this.#table = new KeyTable(keys.map(({ name, ...key }) => ({ ...key, caller: callerNamed(name) })))
    this.#rules = new Map(keys.map(({ name, rules }) => [callerNamed(name), rules]))
    tellReading('KEYS_FILE', true)
    this.#kept?.keep('KEYS_FILE', text)
    this.#tell(keys.length, skipped)
  }

  /** In place of a file that became unusable: the keys that an earlier worker had. */
  #tookLast(): boolean {
    const last = this.#kept?.last('KEYS_FILE')
    if (last === undefined) return false
    const reason = this.#fault ?? 'it cannot be read'
    this.#took(last)
    this.#isUsable = false
    this.#cannotUse(reason)
    return true
  }

  #cannotUse(reason: string): void {
    this.#fault = reason
    tellReading('KEYS_FILE', false)
    if (this.#table)
      this.#logger.warn('keys file cannot be used, keeping the last keys', { file: this.#file.path, reason })
  }

  #tell(keys: number, { kept, total }: SkippedLines): void {
    const { path: file } = this.#file
    for (const bad of kept) this.#logger.warn('bad entry in the keys file', { file, ...bad })
    if (total > kept.length)
      this.#logger.warn('further bad entries in the keys file', { file, entries: total - kept.length })
    this.#logger.info('keys file read', { file, keys, names: this.#rules.size })
  }
}

function placed({ line, reason }: BadLine): string {
  return line === null ? reason : `line ${line}: ${reason}`
}

const NO_KEYS = new KeyTable([])
const NO_RULES: KeyRules = {}

/** The caller that a name of the keys file is. */
function callerNamed(name: string): string {
  return CALLER_PREFIX + name
}

/** The name of the key by which a caller asks; undefined where it has none. */
export function keyNameOf(caller: string): string | undefined {
  return caller.startsWith(CALLER_PREFIX) ? caller.slice(CALLER_PREFIX.length) : undefined
}
