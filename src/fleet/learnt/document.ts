import type { Steps } from '../../base/turns.ts'
import type { NodeKind } from '../address.ts'
import { CONCURRENCY_NUMBERS } from '../load/learntConcurrency.ts'
import { rowOf, type KeptNode, type Row } from '../load/rows.ts'

/** Of what follows. Another version is as nothing. */
const VERSION = 1
/** Longest document, bytes: a little less than a kept value may have. */
const MAX_BYTES = 250_000
/** Longest name of a backend or of a kind of work, characters. */
const MAX_NAME = 512
/** Nodes that are written between two checks of the clock. */
const NODES_PER_STEP = 16
/** So many digits say all that a mean of jobs can. */
const DIGITS = 5

const NODE_KINDS: readonly NodeKind[] = ['infernet', 'openai']

/** What the backends of one kind taught together. */
export interface KeptFleet {
  /** See `FleetLoad.row`. */
  readonly row: Row
  /** See `WorkKinds.trafficRow`. */
  readonly traffic: Row
  /** Kinds of work; see `WorkKind.row`. */
  readonly kinds: readonly (readonly [name: string, row: Row])[]
}

/** What a gateway had learnt at a moment. */
export interface LearntTimes {
  /** When, epoch ms. */
  readonly at: number
  /** The gateway that wrote it, by a name drawn at its start. */
  readonly by: string
  readonly fleets: Readonly<Partial<Record<NodeKind, KeptFleet>>>
  /** By key, those of which most is known first. */
  readonly nodes: readonly (readonly [key: string, kept: KeptNode])[]
}

/** Writes it as JSON. Where that is too long, the nodes of which least is known are left out. */
export function* documentOf({ at, by, fleets, nodes }: LearntTimes): Steps<string> {
  const head = JSON.stringify({ v: VERSION, at, by, fleets: fleetsOf(fleets) })
  const parts: string[] = []
  let bytes = Buffer.byteLength(head)
  for (const [count, [key, kept]] of nodes.entries()) {
    if (count % NODES_PER_STEP === 0) yield
    if (key.length > MAX_NAME) continue
    const part = JSON.stringify(nodeEntry(key, kept))
    bytes += Buffer.byteLength(part) + 1
    if (bytes > MAX_BYTES) break
    parts.push(part)
  }
  return `${head.slice(0, -1)},"nodes":[${parts.join()}]}`
}

/** What a document says; undefined for anything else. Parts of it that are not as they should be are left out. */
export function readDocument(bytes: Buffer): LearntTimes | undefined {
  if (bytes.length > 2 * MAX_BYTES) return undefined
  let document: unknown
  try {
    document = JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
  if (!isObject(document)) return undefined
  const { v, at, by, fleets, nodes } = document
  if (v !== VERSION || !Number.isFinite(at) || typeof by !== 'string') return undefined
  return {
    ...{ at: at as number, by },
    fleets: isObject(fleets) ? readFleets(fleets) : {},
    nodes: pairsOf(nodes, readNode),
  }
}

function fleetsOf(fleets: LearntTimes['fleets']): object {
  const entries = Object.entries(fleets).map(([kind, { row, traffic, kinds }]) => {
    const named = kinds.filter(([name]) => name.length <= MAX_NAME)
    return [kind, [rounded(row), rounded(traffic), named.map(([name, each]) => [name, ...rounded(each)])]]
  })
  return Object.fromEntries(entries) as object
}

function readFleets(fleets: Readonly<Record<string, unknown>>): LearntTimes['fleets'] {
  const read: Partial<Record<NodeKind, KeptFleet>> = {}
  for (const kind of NODE_KINDS) {
    const entry = fleets[kind]
    if (!Array.isArray(entry)) continue
    const [row, traffic] = [rowOf(entry[0], 2), rowOf(entry[1], 2)]
    if (row && traffic) read[kind] = { row, traffic, kinds: pairsOf(entry[2], (rest) => rowOf(rest, 5)) }
  }
  return read
}

function nodeEntry(key: string, { service, concurrency, ends, usual, kinds }: KeptNode): unknown[] {
  const named = kinds.filter(([name]) => name.length <= MAX_NAME)
  return [
    key,
    rounded(service),
    concurrency,
    ends ? rounded(ends) : null,
    usual ? rounded(usual) : null,
    named.map(([name, mean]) => [name, ...rounded(mean)]),
  ]
}

function readNode([service, concurrency, ends, usual, kinds]: readonly unknown[]): KeptNode | undefined {
  const row = rowOf(service, 5)
  if (!row || !Number.isFinite(concurrency)) return undefined
  return {
    service: row,
    concurrency: concurrency as number,
    ends: rowOf(ends, CONCURRENCY_NUMBERS),
    usual: rowOf(usual, 4),
    kinds: pairsOf(kinds, (rest) => rowOf(rest, 2)),
  }
}

/** Entries that begin with a name, as far as `read` makes something of what follows it. */
function pairsOf<T>(entries: unknown, read: (rest: readonly unknown[]) => T | undefined): [name: string, value: T][] {
  const pairs: [string, T][] = []
  for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
    if (!Array.isArray(entry)) continue
    const [name, ...rest] = entry as unknown[]
    const value = typeof name === 'string' && name.length <= MAX_NAME ? read(rest) : undefined
    if (value !== undefined) pairs.push([name as string, value])
  }
  return pairs
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function rounded(row: Row): number[] {
  return row.map(round)
}

function round(value: number): number {
  return Number(value.toPrecision(DIGITS))
}
