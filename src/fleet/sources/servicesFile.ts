import { AddressError, parseAddress, type NodeSpec } from '../address.ts'
import type { Logger, NodeSource } from './source.ts'
import { WatchedFile } from './watchedFile.ts'

const MEMBERS = ['name', 'url', 'models', 'weight', 'concurrency', 'api_key']

/** OpenAI-compatible services from a JSON file. A file that cannot be read as such keeps the last good list; a bad entry is skipped and logged. */
export class ServicesFile implements NodeSource {
  readonly name = 'services'
  readonly #file: WatchedFile
  readonly #logger: Logger

  constructor(path: string, logger: Logger) {
    this.#logger = logger
    this.#file = new WatchedFile(path, (error) =>
      logger.warn('services file cannot be read, keeping the last list', { file: path, error }),
    )
  }

  start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    return this.#file.start((text) => {
      if (text === undefined) {
        this.#logger.warn('services file is missing, taken as empty', { file: this.#file.path })
        return onList([])
      }
      const entries = parseList(text)
      if (!entries) {
        this.#logger.warn('services file is not a JSON list, keeping the last list', { file: this.#file.path })
        return
      }
      const specs = this.#read(entries)
      this.#logger.info('services file read', { file: this.#file.path, services: specs.length })
      onList(specs)
    })
  }

  stop(): void {
    this.#file.stop()
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
