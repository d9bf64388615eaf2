import { GatewayFault } from '../faults.ts'
import { MAX_ID_BYTES, refuseTooLong, tooLong } from '../ids.ts'
import {
  arraySteps,
  JsonLimitError,
  JsonSyntaxError,
  NODE_LIMITS,
  memberOf,
  named,
  objectSteps,
  scanSteps,
  stringAt,
} from '../json/index.ts'
import type { JsonKind, JsonMember, JsonSpan, JsonValue } from '../json/index.ts'
import type { Steps } from '../base/index.ts'
import { canonicalHash } from './containersHash.ts'

/** What the gateway has to know of a job or a delegated subscription; the rest stays in its bytes. */
export type Submission =
  | { readonly kind: 'job'; readonly containers: readonly string[] }
  /** `containersHash` is `0x` and 64 lower-case digits, or empty where the subscription holds no such hash. */
  | { readonly kind: 'subscription'; readonly containersHash: string }

/** One item of a batch: where its bytes lie, and either what it is or why it is refused. */
export type ReadItem = { readonly start: number; readonly end: number } & (
  | { readonly submission: Submission; readonly fault?: undefined }
  | { readonly fault: GatewayFault; readonly submission?: undefined }
)

const JOB_SHAPE = 'a job has "containers", "data" and, optionally, "requires_proof"'
const SUBSCRIPTION_SHAPE = 'a subscription has "subscription", "signature", "data" and, optionally, "requires_proof"'
/** What a node reads; whatever else is there passes on as it came. */
const READ_MEMBERS: ReadonlySet<string> = new Set(['containers', 'data', 'requires_proof', 'subscription', 'signature'])

/** Members by which a body could pass for another job, another client or another kind of message at a node. */
const FORGING_MEMBERS: ReadonlySet<string> = new Set(['id', 'ip', 'type'])

/** An object of more members is no job, and need not be read to its end. */
const OBJECT_LIMITS = { ...NODE_LIMITS, children: 1000 }
const MOST_BATCH_ITEMS = 10_000
const BATCH_LIMITS = { ...NODE_LIMITS, children: MOST_BATCH_ITEMS }

/** Longest string that is decoded to see what it is, bytes as written: an id of nothing but escapes, or a hash. */
const LONGEST_TEXT = 6 * MAX_ID_BYTES + 2
/** Elements that are read in one step. */
const STEP_ELEMENTS = 1000

/**
 * Reads the shape of one job or subscription. Throws GatewayFault: ERR_BAD_JSON, ERR_BAD_SHAPE (400), or
 * ERR_JOB_REFUSED (405) for a job without containers, as a node does.
 */
export function* submissionSteps(bytes: Buffer, start = 0, end = bytes.length): Steps<Submission> {
  try {
    return yield* submissionFrom(bytes, yield* scanSteps(bytes, start, end, OBJECT_LIMITS))
  } catch (error) {
    throw badJson(error)
  }
}

function* submissionFrom(bytes: Buffer, value: JsonValue): Steps<Submission> {
  if (value.kind !== 'object') throw badShape(`Expected a job or a subscription, found ${named(value.kind)}`)
  const { members } = value
  refuseForgeries(members)
  refuseDuplicates(members)
  const isSubscription = memberOf(members, 'subscription') !== undefined
  if (isSubscription === (memberOf(members, 'containers') !== undefined)) {
    const wrong = isSubscription ? 'Both of "containers" and "subscription"' : 'Neither "containers" nor "subscription"'
    throw badShape(`${wrong}: ${JOB_SHAPE}, ${SUBSCRIPTION_SHAPE}`)
  }
  return yield* isSubscription ? subscriptionFrom(bytes, members) : jobFrom(bytes, members)
}

/**
 * Reads the shapes of a batch's items. Throws GatewayFault where the body is no JSON array (400) or has more than
 * 10,000 items (413); what is wrong with an item is told with the item.
 */
export function* batchSteps(bytes: Buffer): Steps<ReadItem[]> {
  const items: ReadItem[] = []
  for (const { start, end } of yield* scanBatch(bytes)) {
    items.push(yield* readItem(bytes, start, end))
    yield
  }
  return items
}

function* scanBatch(bytes: Buffer): Steps<readonly JsonSpan[]> {
  try {
    const value = yield* scanSteps(bytes, 0, bytes.length, BATCH_LIMITS)
    if (value.kind === 'array') return value.elements
  } catch (error) {
    if (!(error instanceof JsonLimitError) || error.limit !== 'children') throw badJson(error)
    throw new GatewayFault('ERR_BATCH_TOO_LARGE', `A batch may have at most ${MOST_BATCH_ITEMS} items`)
  }
  throw badShape('Expected a list')
}

function* readItem(bytes: Buffer, start: number, end: number): Steps<ReadItem> {
  try {
    return { start, end, submission: yield* submissionSteps(bytes, start, end) }
  } catch (error) {
    if (error instanceof GatewayFault) return { start, end, fault: error }
    throw error
  }
}

function* jobFrom(bytes: Buffer, members: readonly JsonMember[]): Steps<Submission> {
  const containers = yield* containerIdsAt(bytes, needed(members, 'containers', 'array', JOB_SHAPE))
  needed(members, 'data', 'object', JOB_SHAPE)
  checkRequiresProof(members)
  if (containers.length === 0) throw new GatewayFault('ERR_JOB_REFUSED', 'No containers specified', { params: {} })
  return { kind: 'job', containers }
}

function* subscriptionFrom(bytes: Buffer, members: readonly JsonMember[]): Steps<Submission> {
  const { start, end } = needed(members, 'subscription', 'object', SUBSCRIPTION_SHAPE)
  needed(members, 'signature', 'object', SUBSCRIPTION_SHAPE)
  needed(members, 'data', 'object', SUBSCRIPTION_SHAPE)
  checkRequiresProof(members)
  const hash = memberOf(yield* objectSteps(bytes, start, end), 'containers')
  const isText = hash?.kind === 'string' && hash.end - hash.start <= LONGEST_TEXT
  return { kind: 'subscription', containersHash: (isText && canonicalHash(stringAt(bytes, hash))) || '' }
}

function* containerIdsAt(bytes: Buffer, { start, end }: JsonMember): Steps<string[]> {
  const elements = yield* arraySteps(bytes, start, end)
  const ids: string[] = []
  for (const element of elements) {
    ids.push(containerIdAt(bytes, element, ids.length))
    if (ids.length % STEP_ELEMENTS === 0) yield
  }
  return ids
}

function containerIdAt(bytes: Buffer, span: JsonSpan, index: number): string {
  if (span.kind === 'string' && span.end - span.start > LONGEST_TEXT) throw tooLong('ERR_BAD_SHAPE', 'A container id')
  const id = span.kind === 'string' ? stringAt(bytes, span) : ''
  refuseTooLong(id, 'ERR_BAD_SHAPE', 'A container id')
  if (id !== '') return id
  const wrong = span.kind === 'string' ? 'is empty' : `is ${named(span.kind)}`
  throw badShape(`"containers" must be a list of container ids, but its element ${index} ${wrong}`)
}

function checkRequiresProof(members: readonly JsonMember[]): void {
  const member = memberOf(members, 'requires_proof')
  if (!member || member.kind === 'null' || member.kind === 'boolean') return
  throw badShape(`"requires_proof" must be true, false or null, not ${named(member.kind)}`)
}

function needed(members: readonly JsonMember[], name: string, kind: JsonKind, shape: string): JsonMember {
  const member = memberOf(members, name)
  if (!member) throw badShape(`"${name}" is missing: ${shape}`)
  if (member.kind !== kind) throw badShape(`"${name}" must be ${named(kind)}, not ${named(member.kind)}`)
  return member
}

function refuseForgeries(members: readonly JsonMember[]): void {
  const forgery = members.find(({ name }) => FORGING_MEMBERS.has(name))
  if (forgery) throw badShape(`"${forgery.name}" is not allowed: ${JOB_SHAPE}`)
}

/** Which of two members of one name is read differs between readers of JSON. */
function refuseDuplicates(members: readonly JsonMember[]): void {
  const twice = members.find((member) => READ_MEMBERS.has(member.name) && memberOf(members, member.name) !== member)
  if (twice) throw badShape(`"${twice.name}" is there more than once`)
}

/** The fault for bytes that could not be scanned; anything but a JsonSyntaxError comes back as it is. */
export function badJson(error: unknown): unknown {
  if (!(error instanceof JsonSyntaxError)) return error
  if (error instanceof JsonLimitError && error.limit === 'children') return badShape(error.message)
  return new GatewayFault('ERR_BAD_JSON', `The body cannot be read as JSON: ${error.message}`)
}

function badShape(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_SHAPE', message)
}
