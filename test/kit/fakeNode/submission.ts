/** What a body that asks for work means to a node: a job, a subscription, a refusal, or a Python error. */
import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { BlockList, isIP } from 'node:net'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { itemSpans, memberSpan, parsePython } from './jsonText.ts'
import type { Container } from './options.ts'

export interface JobSubmission {
  kind: 'job'
  id: string
  ip: string
  containers: string[]
  /** The member `data` as it came, byte for byte (latin1). */
  data: string
  /** The same, read: for what a test wants the containers to do. */
  script: Record<string, unknown>
  requiresProof: boolean
}

export interface SubscriptionSubmission {
  kind: 'subscription'
  subscription: Record<string, unknown>
  signature: Record<string, unknown>
}

export type Submission = JobSubmission | SubscriptionSubmission

/** An exception in the node's Python code: its text ends up in a 500. */
export class PythonError extends Error {}

/** A guardian's refusal. `isWritable` is false for those that the real node fails to put into JSON. */
export interface Refusal {
  error: string
  params: Record<string, string>
  isWritable: boolean
}

const BAD_REQUEST = '400 Bad Request: The browser (or proxy) sent a request that this server could not understand.'
const NO_UNION =
  'can not match type "dict" to any type of "None" union: ' +
  'typing.Union[shared.message.OffchainJobMessage, shared.message.DelegatedSubscriptionMessage]'
export const UNWRITABLE = 'Object of type MessageType is not JSON serializable'

/** The body as text (latin1) and as values. Throws PythonError as Quart's `get_json` would. */
export function readBody(body: Buffer): { text: string; value: unknown } {
  if (!isUtf8(body)) throw new PythonError(utf8Complaint(body))
  try {
    return { value: parsePython(body), text: body.toString('latin1') }
  } catch {
    throw new PythonError(BAD_REQUEST)
  }
}

/** One submission from a whole body. Throws PythonError where the real node would answer 500. */
export function readSubmission(body: Buffer, ip: string): Submission {
  const { text, value } = readBody(body)
  return submission(text, value, 0, ip)
}

/** The submissions of a batch; the first unreadable one throws and spoils the whole. */
export function readBatch(text: string, items: readonly unknown[], ip: string): Submission[] {
  const spans = itemSpans(text)
  return items.map((item, i) => submission(text, item, spans[i]!.start, ip))
}

function submission(text: string, value: unknown, start: number, ip: string): Submission {
  if (!isObject(value)) throw new PythonError(`'${pythonType(value)}' object is not a mapping`)
  const message: Record<string, unknown> = { id: undefined, ip, ...value }
  const wellFormed =
    (message.id === undefined || typeof message.id === 'string') &&
    typeof message.ip === 'string' &&
    !('type' in value) &&
    isObject(message.data) &&
    (message.requires_proof === undefined ||
      message.requires_proof === null ||
      typeof message.requires_proof === 'boolean')
  if (!wellFormed) throw new PythonError(NO_UNION)
  const { containers, subscription, signature } = message
  if (Array.isArray(containers) && containers.every((id) => typeof id === 'string')) {
    const span = memberSpan(text, 'data', start)!
    return {
      kind: 'job',
      id: (message.id as string | undefined) ?? randomUUID(),
      ip: message.ip as string,
      containers,
      data: text.slice(span.start, span.end),
      script: message.data as Record<string, unknown>,
      requiresProof: message.requires_proof === true,
    }
  }
  if (fits(subscription, SUBSCRIPTION) && fits(signature, SIGNATURE)) {
    return { kind: 'subscription', subscription, signature }
  }
  throw new PythonError(NO_UNION)
}

type PythonType = 'str' | 'int' | 'bool'

const SUBSCRIPTION: Record<string, PythonType> = {
  owner: 'str',
  active_at: 'int',
  period: 'int',
  frequency: 'int',
  redundancy: 'int',
  containers: 'str',
  lazy: 'bool',
  verifier: 'str',
  payment_amount: 'int',
  payment_token: 'str',
  wallet: 'str',
}
const SIGNATURE: Record<string, PythonType> = { nonce: 'int', expiry: 'int', v: 'int', r: 'int', s: 'int' }

function fits(value: unknown, shape: Record<string, PythonType>): value is Record<string, unknown> {
  if (!isObject(value)) return false
  return Object.entries(shape).every(([name, type]) => {
    const member = value[name]
    if (type === 'str') return typeof member === 'string'
    if (type === 'bool') return typeof member === 'boolean'
    // In Python a bool is an int; 1.0 is not, but reads here as one.
    return typeof member === 'boolean' || (typeof member === 'number' && Number.isInteger(member))
  })
}

/** Decides as the node's guardian does, in its order. Throws PythonError where its code would. */
export class Guardian {
  readonly #containers: () => readonly Container[]
  readonly #chain: () => boolean

  constructor(containers: () => readonly Container[], chain: () => boolean) {
    this.#containers = containers
    this.#chain = chain
  }

  refuses(submission: Submission): Refusal | undefined {
    return submission.kind === 'job' ? this.#refusesJob(submission) : this.#refusesSubscription(submission)
  }

  #refusesJob({ containers, ip, requiresProof }: JobSubmission): Refusal | undefined {
    if (containers.length === 0) return refusal('No containers specified')
    return this.#refusesPipeline(containers, requiresProof) ?? this.#refusesAddress(containers, ip)
  }

  #refusesSubscription({ subscription, signature }: SubscriptionSubmission): Refusal | undefined {
    if (!this.#chain()) return refusal('Chain not enabled', {}, false)
    if (Number(signature.expiry) < Math.floor(Date.now() / 1000)) return refusal('Signature expired', {}, false)
    const containers = this.#pipelineOf(String(subscription.containers))
    if (!containers) throw new PythonError('list index out of range')
    const requiresProof = !/^(0x)?0*$/i.test(String(subscription.verifier))
    return (
      this.#refusesPipeline(containers, requiresProof) ?? this.#refusesOwner(containers, String(subscription.owner))
    )
  }

  #refusesPipeline(containers: readonly string[], requiresProof: boolean): Refusal | undefined {
    const unknown = containers.find((id) => !this.#find(id))
    if (unknown !== undefined) return refusal('Container not supported', { container: unknown })
    const first = containers[0]!
    if (!this.#find(first)?.external) return refusal('First container must be external', { first_container: first })
    const last = containers.at(-1)!
    if (requiresProof && !this.#find(last)?.generatesProofs) {
      return refusal('Container does not generate proof', { container: last })
    }
    return undefined
  }

  #refusesAddress(containers: readonly string[], address: string): Refusal | undefined {
    for (const container of containers) {
      const { allowedIps } = this.#find(container)!
      if (allowedIps.length === 0) continue
      if (!isIP(address)) throw new PythonError(`'${address}' does not appear to be an IPv4 or IPv6 address`)
      if (!isWithin(allowedIps, address)) {
        return refusal('Container not allowed for address', { address, container })
      }
    }
    return undefined
  }

  #refusesOwner(containers: readonly string[], owner: string): Refusal | undefined {
    const isClosed = (id: string): boolean => {
      const { allowedDelegates } = this.#find(id)!
      return (
        allowedDelegates.length > 0 && !allowedDelegates.some((given) => given.toLowerCase() === owner.toLowerCase())
      )
    }
    const container = containers.find(isClosed)
    return container === undefined
      ? undefined
      : refusal('Container not allowed for address', { address: owner, container })
  }

  #find(id: string): Container | undefined {
    return this.#containers().find((container) => container.id === id)
  }

  /** The node knows the hash of every ordering of every subset of its containers. */
  #pipelineOf(hash: string): string[] | undefined {
    const wanted = hash.replace(/^0x/i, '').toLowerCase()
    const ids = this.#containers().map((container) => container.id)
    for (const pipeline of orderings(ids)) if (pipelineHash(pipeline) === wanted) return pipeline
    return undefined
  }
}

/** Hex keccak-256, without `0x`, of the ABI encoding of one string: the ids joined by commas. */
export function pipelineHash(containers: readonly string[]): string {
  const name = Buffer.from(containers.join(','))
  const word = (n: number): Buffer => Buffer.from(n.toString(16).padStart(64, '0'), 'hex')
  const padding = Buffer.alloc((32 - (name.length % 32)) % 32)
  return Buffer.from(keccak_256(Buffer.concat([word(32), word(name.length), name, padding]))).toString('hex')
}

function* orderings(ids: readonly string[]): Generator<string[]> {
  for (const id of ids) {
    yield [id]
    const others = ids.filter((other) => other !== id)
    for (const rest of orderings(others)) yield [id, ...rest]
  }
}

/** Whether an address lies in one of the ranges (or is one of the addresses). */
export function isWithin(ranges: readonly string[], address: string): boolean {
  const list = new BlockList()
  for (const range of ranges) {
    const [net = '', bits] = range.split('/')
    const family = isIP(net) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(net, family)
    else list.addSubnet(net, Number(bits), family)
  }
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function refusal(error: string, params: Record<string, string> = {}, isWritable = true): Refusal {
  return { error, params, isWritable }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function pythonType(value: unknown): string {
  if (value === null) return 'NoneType'
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float'
  return 'str'
}

function utf8Complaint(body: Buffer): string {
  // Written again, the text differs from where the reading first went wrong.
  const again = Buffer.from(body.toString())
  const position = body.findIndex((byte, i) => byte !== again[i])
  const byte = (body[position] ?? 0).toString(16).padStart(2, '0')
  return `'utf-8' codec can't decode byte 0x${byte} in position ${position}: invalid start byte`
}
