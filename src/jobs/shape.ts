import { GatewayFault } from '../faults.ts'
import {
  JsonLimitError,
  JsonSyntaxError,
  NODE_LIMITS,
  memberOf,
  named,
  scanArray,
  scanObject,
  scanValue,
  stringAt,
} from '../json/index.ts'
import type { JsonKind, JsonMember, JsonSpan, JsonValue } from '../json/index.ts'
import { canonicalHash } from './subscriptionHash.ts'

/** What the gateway has to know of a job or a delegated subscription; the rest stays in its bytes. */
export type Submission =
  | { readonly kind: 'job'; readonly containers: readonly string[] }
  /** `containersHash` is `0x` and 64 lower-case digits, or empty where the subscription holds no such hash. */
  | { readonly kind: 'subscription'; readonly containersHash: string }

/** One item of a batch: where its bytes lie, and either what it is or why it is refused. */
export type BatchItem = { readonly start: number; readonly end: number } & (
  | { readonly submission: Submission; readonly fault?: undefined }
  | { readonly fault: GatewayFault; readonly submission?: undefined }
)

const JOB_SHAPE = 'a job has "containers", "data" and, optionally, "requires_proof"'
const SUBSCRIPTION_SHAPE = 'a subscription has "subscription", "signature", "data" and, optionally, "requires_proof"'
const JOB_MEMBERS: ReadonlySet<string> = new Set(['containers', 'data', 'requires_proof'])
const SUBSCRIPTION_MEMBERS: ReadonlySet<string> = new Set(['subscription', 'signature', 'data', 'requires_proof'])

/** Members by which a body could pass for another job, another client or another kind of message at a node. */
const FORGING_MEMBERS: ReadonlySet<string> = new Set(['id', 'ip', 'type'])

/** An object of more members is no job, and need not be read to its end. */
const OBJECT_LIMITS = { ...NODE_LIMITS, children: 32 }
const MOST_BATCH_ITEMS = 10_000
const BATCH_LIMITS = { ...NODE_LIMITS, children: MOST_BATCH_ITEMS }

/**
 * Reads the shape of one job or subscription. Throws GatewayFault: ERR_BAD_JSON, ERR_BAD_SHAPE (400), or
 * ERR_JOB_REFUSED (405) for a job without containers, as a node does.
 */
export function readSubmission(bytes: Buffer, start = 0, end = bytes.length): Submission {
  try {
    return submissionFrom(bytes, scanValue(bytes, start, end, OBJECT_LIMITS))
  } catch (error) {
    throw badJson(error)
  }
}

function submissionFrom(bytes: Buffer, value: JsonValue): Submission {
  if (value.kind !== 'object') throw badShape(`Expected a job or a subscription, found ${named(value.kind)}`)
  const { members } = value
  refuseForgeries(members)
  refuseDuplicates(members)
  const isSubscription = memberOf(members, 'subscription') !== undefined
  if (isSubscription === (memberOf(members, 'containers') !== undefined)) {
    const wrong = isSubscription ? 'Both of "containers" and "subscription"' : 'Neither "containers" nor "subscription"'
    throw badShape(`${wrong}: ${JOB_SHAPE}, ${SUBSCRIPTION_SHAPE}`)
  }
  return isSubscription ? subscriptionFrom(bytes, members) : jobFrom(bytes, members)
}

/**
 * Reads the shapes of a batch's items. Throws GatewayFault where the body is no JSON array (400) or has more than
 * 10,000 items (413); what is wrong with an item is told with the item.
 */
export function readBatch(bytes: Buffer): BatchItem[] {
  return scanBatch(bytes).map(({ start, end }) => readItem(bytes, start, end))
}

function scanBatch(bytes: Buffer): readonly JsonSpan[] {
  try {
    const value = scanValue(bytes, 0, bytes.length, BATCH_LIMITS)
    if (value.kind === 'array') return value.elements
  } catch (error) {
    if (!(error instanceof JsonLimitError) || error.limit !== 'children') throw badJson(error)
    throw new GatewayFault('ERR_BATCH_TOO_LARGE', `A batch may have at most ${MOST_BATCH_ITEMS} items`)
  }
  throw badShape('Expected a list')
}

function readItem(bytes: Buffer, start: number, end: number): BatchItem {
  try {
    return { start, end, submission: readSubmission(bytes, start, end) }
  } catch (error) {
    if (error instanceof GatewayFault) return { start, end, fault: error }
    throw error
  }
}

function jobFrom(bytes: Buffer, members: readonly JsonMember[]): Submission {
  refuseOthers(members, JOB_MEMBERS, JOB_SHAPE)
  const containers = containerIdsAt(bytes, needed(members, 'containers', 'array', JOB_SHAPE))
  needed(members, 'data', 'object', JOB_SHAPE)
  checkRequiresProof(members)
  if (containers.length === 0) throw new GatewayFault('ERR_JOB_REFUSED', 'No containers specified', { params: {} })
  return { kind: 'job', containers }
}

function subscriptionFrom(bytes: Buffer, members: readonly JsonMember[]): Submission {
  refuseOthers(members, SUBSCRIPTION_MEMBERS, SUBSCRIPTION_SHAPE)
  const { start, end } = needed(members, 'subscription', 'object', SUBSCRIPTION_SHAPE)
  needed(members, 'signature', 'object', SUBSCRIPTION_SHAPE)
  needed(members, 'data', 'object', SUBSCRIPTION_SHAPE)
  checkRequiresProof(members)
  const hash = memberOf(scanObject(bytes, start, end), 'containers')
  return {
    kind: 'subscription',
    containersHash: (hash?.kind === 'string' && canonicalHash(stringAt(bytes, hash))) || '',
  }
}

function containerIdsAt(bytes: Buffer, { start, end }: JsonMember): string[] {
  return scanArray(bytes, start, end).map((element, i) => {
    const id = element.kind === 'string' ? stringAt(bytes, element) : ''
    if (id !== '') return id
    const wrong = element.kind === 'string' ? 'is empty' : `is ${named(element.kind)}`
    throw badShape(`"containers" must be a list of container ids, but its element ${i} ${wrong}`)
  })
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
  const twice = members.find((member) => memberOf(members, member.name) !== member)
  if (twice) throw badShape(`${quoted(twice.name)} is there more than once`)
}

function refuseOthers(members: readonly JsonMember[], allowed: ReadonlySet<string>, shape: string): void {
  const other = members.find(({ name }) => !allowed.has(name))
  if (other) throw badShape(`${quoted(other.name)} is not allowed: ${shape}`)
}

/** A client's text within a message, cut to a bearable length. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 50 ? `${text.slice(0, 50)}…` : text)
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
