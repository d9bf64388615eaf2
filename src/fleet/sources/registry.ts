import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'
import type { Logger } from '../../base/logger.ts'
import { AddressError, serviceAddressOf, type NodeSpec } from '../address.ts'
import { PolledList, type Listed, type PolledListOptions } from './polledList.ts'
import { isPrivate } from './privateRange.ts'
import { readServiceEntry } from './serviceEntry.ts'

const MOST_SERVICES = 1000
/** It may describe each of its models. */
const MAX_ENTRY_BYTES = 64 * 1024
/** More of an entry's metadata than this is not kept, characters of JSON. */
const MOST_METADATA = 2000
/** Of a service's name, characters: it is in a header of each answer. */
const MAX_NAME_LENGTH = 200
/** The type of entries that serve requests; others are the processes that look after them. */
const SERVING_TYPE = 'openai-api'

export interface RegistryOptions extends PolledListOptions {
  /** Base URL of the registry. */
  readonly registryUrl: string
}

/** OpenAI-compatible services from a registry of InfiniLM. */
export class Registry extends PolledList {
  constructor({ registryUrl, ...options }: RegistryOptions, logger: Logger) {
    const server = {
      name: 'registry' as const,
      url: `${registryUrl.replace(/\/+$/, '')}/services`,
      params: { healthy: 'true' },
      member: 'services',
      most: MOST_SERVICES,
      maxEntryBytes: MAX_ENTRY_BYTES,
      needs: 'a "url", or a "host" and a "port", that is an address',
      reader: listReader,
    }
    super(server, options, logger)
  }
}

/** Of two entries with one address, or one name, the first stands. */
function listReader(allowPrivate: boolean): (entry: unknown) => Listed {
  const known = new Set<string>()
  return (entry) => {
    const spec = readEntry(entry)
    if (typeof spec !== 'object') return spec
    if (!allowPrivate && !isPublic(spec)) return 'private'
    const [address, name] = [`address ${serviceAddressOf(spec)}`, `name ${spec.name}`]
    if (known.has(address) || known.has(name)) return 'other'
    known.add(address).add(name)
    return spec
  }
}

type Members = Readonly<Record<string, unknown>>

function readEntry(entry: unknown): NodeSpec | 'other' | undefined {
  if (!isObject(entry)) return undefined
  const metadata = isObject(entry['metadata']) ? entry['metadata'] : {}
  const { type } = metadata
  if (typeof type === 'string' && type !== SERVING_TYPE) return 'other'
  // A registry that does not know of `healthy=true` lists all.
  if (entry['is_healthy'] === false) return 'other'
  const url = urlOf(entry)
  if (url === undefined) return undefined
  const { weight } = entry
  const models = modelsOf(metadata)
  const members = {
    url,
    ...(models && { models }),
    ...(typeof weight === 'number' && weight > 0 && Number.isFinite(weight) && { weight }),
  }
  const { name } = entry
  const isName = typeof name === 'string' && name.length <= MAX_NAME_LENGTH
  const spec =
    (isName ? specOf({ ...members, name }) : undefined) ?? specOf({ ...members, name: url.slice(0, MAX_NAME_LENGTH) })
  return spec && { ...spec, metadata: boundedMetadata(metadata), yields: true }
}

/** Undefined where its members are not what they should be. */
function specOf(members: Members): NodeSpec | undefined {
  try {
    return readServiceEntry(members, () => undefined)
  } catch (error) {
    if (error instanceof AddressError) return undefined
    throw error
  }
}

function urlOf({ url, host, port }: Members): string | undefined {
  if (typeof url === 'string' && url !== '') return url
  if (typeof host !== 'string' || !(typeof port === 'number' || typeof port === 'string')) return undefined
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

function modelsOf({ models }: Members): readonly string[] | undefined {
  if (!Array.isArray(models)) return undefined
  const names = models.filter((model): model is string => typeof model === 'string' && model !== '' && model !== '*')
  return names.length > 0 ? names : undefined
}

/** Without the models, which are told anyway. */
function boundedMetadata({ models: _, models_list: __, ...more }: Members): Members {
  return JSON.stringify(more).length <= MOST_METADATA ? more : { type: SERVING_TYPE }
}

/** A name may stand for any address, so that none is known to be public. */
function isPublic({ origin }: NodeSpec): boolean {
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, '')
  return isIP(host) !== 0 && !isPrivate(ipaddr.process(host))
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
