/** One running container of a node, as `/info` tells it. */
export interface ContainerInfo {
  readonly id: string
  readonly description: string
  readonly external: boolean
  readonly image: string
}

/** Containers of one node that are taken note of. */
export const MAX_CONTAINERS = 1000

/** What a node says of itself at `/info`. */
export interface NodeInfo {
  readonly version: string
  readonly containers: readonly ContainerInfo[]
  readonly pending: { readonly offchain: number; readonly onchain: number }
  readonly chain: { readonly enabled: boolean; readonly address: string }
}

/** An answer of another shape; the message names the member, for the log. */
export class InfoShapeError extends Error {}

type Json = Record<string, unknown>

/**
 * Reads a node's `/info`. The containers must be there, without them there is nothing to route; the rest may be missing or null,
 * but not of another type. Who tells of nothing pending has none.
 *
 * @throws InfoShapeError
 */
export function readInfo(body: unknown): NodeInfo {
  const info = object(body, 'the answer')
  const pending = object(info['pending'] ?? {}, 'pending')
  const chain = object(info['chain'] ?? {}, 'chain')
  if (!Array.isArray(info['containers'])) throw new InfoShapeError('containers is not a list')
  return {
    version: optional(info, 'version', 'string', ''),
    containers: info['containers'].map(readContainer),
    pending: { offchain: count(pending, 'offchain'), onchain: count(pending, 'onchain') },
    chain: { enabled: optional(chain, 'enabled', 'boolean', false), address: optional(chain, 'address', 'string', '') },
  }
}

function readContainer(value: unknown): ContainerInfo {
  const container = object(value, 'a container')
  const id = container['id']
  if (typeof id !== 'string' || id === '') throw new InfoShapeError('a container has no id')
  return {
    id,
    description: optional(container, 'description', 'string', ''),
    external: optional(container, 'external', 'boolean', true),
    image: optional(container, 'image', 'string', ''),
  }
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InfoShapeError(`${what} is not an object`)
  }
  return value as Json
}

function count(from: Json, name: string): number {
  const value = from[name] ?? 0
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new InfoShapeError(`pending.${name} is not a whole number ≥ 0`)
  }
  return value as number
}

interface Types {
  string: string
  boolean: boolean
}

function optional<T extends keyof Types>(from: Json, name: string, type: T, missing: Types[T]): Types[T] {
  const value = from[name]
  if (value === undefined || value === null) return missing
  if (typeof value !== type) throw new InfoShapeError(`${name} is not a ${type}`)
  return value as Types[T]
}
