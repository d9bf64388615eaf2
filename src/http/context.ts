import type { Request } from 'express'
import { randomUUID } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { isIP, isIPv6 } from 'node:net'
import type { Priority } from '../base/priority.ts'
import type { FaultCode, GatewayFault } from '../faults.ts'
import { remembered } from '../base/remembered.ts'
import type { Reservation } from '../base/memory/budget.ts'

const PLAUSIBLE_ID = /^[A-Za-z0-9._-]{1,128}$/
const CONTEXT = Symbol('gateway context')

/** What one request holds of the memory budget. */
export interface RequestMemory {
  /** Its body, until its handler is done. */
  readonly body: Reservation
  /** Collected answers, until the client has taken what was made of them, or has left. */
  readonly answer: Reservation
}

/** What the gateway knows of one request from its first moment on. */
export interface RequestContext {
  /** The client's own id, if plausible, else one of ours. */
  readonly requestId: string
  /** Monotonic, ms. */
  readonly startedAt: number
  /** The client's true address, as far as we are willing to believe it. */
  readonly clientAddress: string
  /** Who asks: the API key's name where keys are set, else the client's address. Set by authentication. */
  caller: string
  /** Its priority where it waits for a place; default: `normal`. */
  priority?: Priority
  /** True where credentials were the gateway's own and must not go to a backend. */
  credentialsAreOurs: boolean
  /** Names of headers that hold a key of the gateway's own, and must not go to a backend either. */
  withheldHeaders?: Set<string>
  /** A protocol of a WebSocket holds a key of the gateway's own: no such protocol may go to a backend. */
  withholdsProtocolKeys?: boolean
  /** Set where the request's handler counts what it holds. */
  memory?: RequestMemory
  // What became of it, for logs and metrics:
  /** The backend that served it, or was asked last. */
  node?: string | undefined
  fault?: GatewayFault
  /** How many backends were asked. */
  tries?: number
  /** From sending to the first byte of the backend's answer. */
  firstByteSeconds?: number
  /** Its trace, where traces are made. */
  traceId?: string
  /** The model that it asks for. */
  model?: string
  /** The job that it made, or is about. */
  job?: string
  /** Jobs that a batch made. */
  batch?: BatchNote
  /** Bytes of its body as they came, before they are unpacked; undefined where none was read. */
  bytesIn?: number
  /** Bytes that its connection had sent before it; undefined where its answer's are not counted. */
  sentBefore?: number | undefined
  /** How long it waited for a place at a backend, over all tries. */
  queueSeconds?: number
  /** How long the last backend took, to the end of its answer. */
  serviceSeconds?: number
  /** The backend whose answer is being streamed was sent the request then: monotonic, ms. */
  servedSince?: number
  /** The containers of the job that it submits. */
  containers?: readonly string[]
  /** What became of each item of a batch. */
  items?: readonly ItemNote[]
  /** It asks for a page of the gateway itself, such as `/health`: no work of a client. */
  isOwnPage?: true
}

/** What a batch made. */
interface BatchNote {
  readonly jobs: number
  /** Ids of the first of them. */
  readonly first: readonly string[]
  /** Calls to nodes for items that another node had failed or refused. */
  readonly retries: number
}

/** What became of an item of a batch. */
export interface ItemNote {
  readonly containers: readonly string[]
  /** `refused`: the client has to submit it otherwise; `failed`: it is not to blame. */
  readonly outcome: 'succeeded' | 'refused' | 'failed'
  readonly fault?: FaultCode | undefined
}

type WithContext = Request & { [CONTEXT]?: RequestContext }

/** The request's context, made at the first call. */
export function contextOf(req: Request): RequestContext {
  const holder = req as WithContext
  return (holder[CONTEXT] ??= createContext(req))
}

function createContext(req: Request): RequestContext {
  const given = req.headers['x-request-id']
  const clientAddress = clientAddressOf(req)
  return {
    requestId: typeof given === 'string' && PLAUSIBLE_ID.test(given) ? given : randomUUID(),
    startedAt: performance.now(),
    clientAddress,
    caller: clientAddress,
    credentialsAreOurs: false,
  }
}

/** The address that the trusted proxies name, without a port that some of them add; where it is none (`unknown`), the last proxy's own. */
function clientAddressOf(req: Request): string {
  // Most often nobody names anybody, and Express need not think about it.
  if (req.headers['x-forwarded-for'] === undefined) return plainAddress(req.socket.remoteAddress ?? '')
  const named = (req.ip ?? '').replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
  return plainAddress(isIP(named) ? copyOf(named) : (req.socket.remoteAddress ?? ''))
}

/** Part of a text keeps the whole of it in memory, here a header of up to 64 kB, for as long as the address is remembered. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** An address in one spelling: IPv4 that is written as IPv6 as IPv4, IPv6 in its canonical form (RFC 5952). Other text stays as it is. */
export function plainAddress(address: string): string {
  return address.includes(':') ? plainIPv6(address) : address
}

/** Parsing takes some 4 µs, as long as reading a body, and a client asks many times. */
const plainIPv6 = remembered((address) => (isIPv6(address) ? ipaddr.process(address).toString() : address))
