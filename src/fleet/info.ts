import { isTooLong } from '../ids.ts'
import { ANSWER_LIMITS, firstElementsSteps, memberOf, scanSteps, type JsonSpan } from '../json/index.ts'
import type { Steps } from '../base/turns.ts'

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
  /** What was not taken note of; missing where that is nothing. */
  readonly leftOut?: LeftOut
}

/** Entries of a list that were left out. */
export interface LeftOut {
  /** For an id that is too long. */
  readonly tooLong: number
  /** Because there are too many. */
  readonly tooMany: number
}

/** Longest description, image or other text that is kept of a node, characters. */
const MAX_TEXT = 1000
/** Longest part of an answer that is read as a whole, bytes: a container, or one of the other members. */
const MAX_PART_BYTES = 64 * 1024

/** An answer of another shape; the message names the member, for the log. */
export class InfoShapeError extends Error {}

type Json = Record<string, unknown>

/** The members of `/info` that are read, and how many containers it lists: parsed one by one, so that no answer grows large in memory. */
export function* infoSteps(answer: Buffer): Steps<NodeInfo> {
  const value = yield* scanSteps(answer, 0, answer.length, ANSWER_LIMITS)
  if (value.kind !== 'object') throw new InfoShapeError('the answer is not an object')
  const { members } = value
  const info: Json = {}
  for (const name of ['version', 'pending', 'chain']) {
    const member = memberOf(members, name)
    if (member) info[name] = parsed(answer, member)
  }
  const list = memberOf(members, 'containers')
  if (list?.kind !== 'array') return readInfo(info)
  const { elements, count } = yield* firstElementsSteps(answer, list, MAX_CONTAINERS)
  const containers: unknown[] = []
  for (const element of elements) {
    containers.push(parsed(answer, element))
    yield
  }
  return readInfo({ ...info, containers }, count)
}

/** @throws InfoShapeError where it is longer than anything that is read */
function parsed(answer: Buffer, { start, end }: JsonSpan): unknown {
  if (end - start > MAX_PART_BYTES) throw new InfoShapeError(`a part is longer than ${MAX_PART_BYTES} bytes`)
  return JSON.parse(answer.toString('utf8', start, end)) as unknown
}

/**
 * Reads a node's `/info`, of which no more than the first containers need be there: `listed` is how many it lists. The containers must be there, without them there is nothing to route; the rest may be missing or null,
 * but not of another type. Who tells of nothing pending has none.
 *
 * @throws InfoShapeError
 */
function readInfo(body: unknown, listed?: number): NodeInfo {
  const info = object(body, 'the answer')
  const pending = object(info['pending'] ?? {}, 'pending')
  const chain = object(info['chain'] ?? {}, 'chain')
  if (!Array.isArray(info['containers'])) throw new InfoShapeError('containers is not a list')
  const read = info['containers'].slice(0, MAX_CONTAINERS).map(readContainer)
  const containers = read.filter(({ id }) => !isTooLong(id))
  const tooLong = read.length - containers.length
  const tooMany = Math.max(0, (listed ?? info['containers'].length) - MAX_CONTAINERS)
  return {
    version: optional(info, 'version', 'string', ''),
    containers,
    ...(tooLong + tooMany > 0 && { leftOut: { tooLong, tooMany } }),
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

/** Whether two lists tell the same of the same containers, in the same order. */
export function sameContainers(a: readonly ContainerInfo[], b: readonly ContainerInfo[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index]
      return (
        one.id === other?.id &&
        one.image === other.image &&
        one.external === other.external &&
        one.description === other.description
      )
    })
  )
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
  return (typeof value === 'string' ? value.slice(0, MAX_TEXT) : value) as Types[T]
}
