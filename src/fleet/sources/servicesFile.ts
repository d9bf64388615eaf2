import { AddressError, parseAddress, type NodeSpec } from '../address.ts'
import type { Logger, NodeSource } from './source.ts'
import { SteadyList } from './steadyList.ts'
import { WatchedFile } from './watchedFile.ts'

const MEMBERS = ['name', 'url', 'models', 'weight', 'concurrency', 'api_key']

export interface ServicesFileOptions {
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
}

/** OpenAI-compatible services from a JSON file. A file that cannot be read as such keeps the last good list; a bad entry is skipped and logged. */
export class ServicesFile implements NodeSource {
  readonly name = 'services'
  readonly #file: WatchedFile
  readonly #logger: Logger
  readonly #services: SteadyList<NodeSpec>
  #confirmation: NodeJS.Timeout | undefined
  /** What was read last, and the list in it; `undefined` where it is none. */
  #text: string | undefined | null = null
  #listed: readonly NodeSpec[] | undefined

  constructor(path: string, logger: Logger, { believeAfterMs }: ServicesFileOptions = {}) {
    this.#logger = logger
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
        const spec = readService(entry)
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
    const unknown = Object.keys(entry).filter((member) => !MEMBERS.includes(member))
    if (unknown.length === 0) return
    this.#logger.warn('unknown members of an entry in the services file, ignored', {
      file: this.#file.path,
      entry: index + 1,
      unknown: unknown.slice(0, 10).map((member) => member.slice(0, 100)),
      allowed: MEMBERS,
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

/** A member that is null, or a key that is empty, is not there: so templates write what they leave out. */
function presentMembers(entry: object): Record<string, unknown> {
  const isPresent = ([name, value]: [string, unknown]): boolean =>
    value !== null && !(name === 'api_key' && value === '')
  return Object.fromEntries(Object.entries(entry).filter(isPresent))
}

/** @throws AddressError naming the member and what is allowed */
function readService(entry: unknown): NodeSpec {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw new AddressError('not an object')
  const { name, url, models, weight, concurrency, api_key: apiKey } = presentMembers(entry)
  // It becomes the value of a header, where nothing else may stand.
  if (!(typeof name === 'string' && /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(name)))
    throw new AddressError('name must be a text of visible ASCII characters')
  if (typeof url !== 'string') throw new AddressError('url must be a text')
  if (models !== undefined && !(Array.isArray(models) && models.every((m) => typeof m === 'string' && m !== ''))) {
    throw new AddressError('models must be a list of texts')
  }
  if (weight !== undefined && !(typeof weight === 'number' && weight > 0 && Number.isFinite(weight))) {
    throw new AddressError('weight must be a number > 0')
  }
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && (concurrency as number) > 0)) {
    throw new AddressError('concurrency must be a whole number > 0')
  }
  if (apiKey !== undefined && !(typeof apiKey === 'string' && /^[\x21-\x7e]+$/.test(apiKey))) {
    throw new AddressError('api_key must be a text of visible ASCII characters')
  }
  const address = parseAddress(url.replace(/\/+$/, '').replace(/\/v1$/, ''))
  return {
    ...address,
    kind: 'openai',
    // Two services may share one address (other models, another key), and a node's address is never a service's.
    key: `openai:${name}@${address.key}`,
    name,
    ...(models && { models: models as string[] }),
    ...(weight !== undefined && { weight }),
    ...(concurrency !== undefined && { concurrency: concurrency as number }),
    ...(apiKey !== undefined && { apiKey }),
  }
}
