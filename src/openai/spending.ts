import type { Response } from 'express'
import type { FaultCode } from '../faults.ts'
import { toFault, TokenLimit, type TokenLimitOptions, type TokenReservation } from '../http/index.ts'
import { memberOf, type JsonMember } from '../json/index.ts'
import type { Forwarded } from '../upstream/index.ts'
import type { Dialect } from './dialect.ts'
import { withoutQuery } from './paths.ts'
import { SpendingEstimates } from './spendingEstimates.ts'
import { SeenTokens } from './spendingSeen.ts'
import type { UsageWatch } from './usage.ts'

/** Members by which clients bound a reply, tokens. */
const BOUNDS = ['max_completion_tokens', 'max_tokens', 'max_output_tokens']
/** Paths that count tokens and run no model. */
const COUNTING = /^\/(?:tokenize|detokenize|messages\/count_tokens)$/i
/** Ends of a request that a service worked on, without an answer. */
const WORKED_ON: ReadonlySet<FaultCode> = new Set(['ERR_CLIENT_GONE', 'ERR_NODE_SILENT', 'ERR_NODE_SLOW'])

const FILE_MARK = ';base64,'
/** What an embedded file counts as, bytes of text: about a thousand tokens, as a large image takes. */
const FILE_BYTES = 4000
/** Files that are looked for: a body of nothing but marks must not hold up other requests. */
const MOST_FILES = 1000

/** What an estimate is made from. */
export interface Spendable {
  /** Behind the prefix. */
  readonly path: string
  /** Undefined where nothing is generated from text. */
  readonly dialect: Dialect | undefined
  readonly bytes: Buffer
  /** Undefined for forms: files have no text to measure. */
  readonly members: readonly JsonMember[] | undefined
  /** The work goes on after the answer. */
  readonly isBackground: boolean
}

/** Charges callers who have a number of tokens a minute for what their requests take. */
export class Spending {
  readonly #limit: TokenLimit
  readonly #estimates = new SpendingEstimates()

  constructor(options: TokenLimitOptions) {
    this.#limit = new TokenLimit(options)
  }

  /**
   * Reserves an estimate for a request, before it waits or is sent; `undefined` for callers without a limit.
   *
   * @throws GatewayFault ERR_RATE_LIMITED
   */
  begin(res: Response, caller: string, request: Spendable): Spent | undefined | Promise<Spent> {
    const budget = this.#limit.of(caller)
    if (!budget || COUNTING.test(withoutQuery(request.path))) return undefined
    const { bytes, members, dialect } = request
    const textBytes = members ? textBytesOf(bytes) : 0
    const promptTokens = this.#estimates.promptTokens(caller, textBytes)
    const replyTokens = dialect ? Math.min(this.#estimates.replyTokens(caller), boundOf(bytes, members)) : 0
    const reservation = budget.reserve(res, promptTokens + replyTokens)
    const spent = (reserved: TokenReservation): Spent =>
      new Spent(reserved, { ...request, caller, textBytes, promptTokens, res, estimates: this.#estimates })
    return reservation instanceof Promise ? reservation.then(spent) : spent(reservation)
  }

  /**
   * Charges a session, whose tokens are not counted, for one modest reply, unless it is not opened.
   *
   * @throws GatewayFault ERR_RATE_LIMITED
   */
  async beginSession(res: Response, caller: string): Promise<TokenReservation | undefined> {
    return this.#limit.of(caller)?.reserve(res, this.#estimates.replyTokens(caller))
  }
}

interface SpentOptions extends Spendable {
  readonly caller: string
  readonly textBytes: number
  /** By estimate. */
  readonly promptTokens: number
  readonly res: Response
  readonly estimates: SpendingEstimates
}

/** What one request takes. Its reservation is settled once, when it has ended in whatever way. */
export class Spent {
  readonly #reserved: TokenReservation
  readonly #request: SpentOptions
  readonly #seen = new SeenTokens()
  #isTried = false

  constructor(reserved: TokenReservation, request: SpentOptions) {
    this.#reserved = reserved
    this.#request = request
  }

  /** A service is tried. */
  tried(): void {
    this.#isTried = true
  }

  /** An answer that serves the request, or fails it, begins. */
  answers(contentType: string | undefined): void {
    this.#seen.begin(contentType)
  }

  see(chunk: Buffer): void {
    this.#seen.see(chunk)
  }

  /** Settles what was reserved as soon as it is known how the request ended, which is returned. */
  async settledBy(forwarding: Promise<Forwarded>, usage: UsageWatch): Promise<Forwarded> {
    try {
      const end = await forwarding
      this.#reserved.settle(this.#request.res.statusCode >= 400 ? 0 : this.#tokensOf(end, usage))
      return end
    } catch (error) {
      const { code, fault } = toFault(error)
      const isWorkedOn = this.#isTried && !fault.nothingSent && WORKED_ON.has(code)
      this.#reserved.settle(isWorkedOn ? this.#request.promptTokens : 0)
      throw error
    }
  }

  /** By the answer's usage; where that is missing, or the answer broke off, by what was seen. */
  #tokensOf({ how }: Forwarded, usage: UsageWatch): number {
    const { dialect, isBackground, caller, textBytes, estimates } = this.#request
    const told = usage.usage()
    const seen = dialect ? this.#seen.tokens : 0
    const isWhole = how === 'complete'
    const replyTokens = told && isWhole ? told.completionTokens : Math.max(told?.completionTokens ?? 0, seen)
    if (isBackground) return Math.max(this.#reserved.tokens, told ? told.promptTokens + replyTokens : 0)
    const learnt = { promptTokens: told?.promptTokens, replyTokens: dialect && isWhole ? replyTokens : undefined }
    estimates.learn(caller, textBytes, learnt)
    return Math.ceil((told?.promptTokens ?? this.#request.promptTokens) + replyTokens)
  }
}

/** The length of a body without what is embedded in it as base64 beyond `FILE_BYTES` each. */
function textBytesOf(bytes: Buffer): number {
  let length = bytes.length
  let at = bytes.indexOf(FILE_MARK)
  for (let files = 0; at >= 0 && files < MOST_FILES; files++) {
    const end = bytes.indexOf(0x22, at)
    if (end < 0) break
    length -= Math.max(0, end - at - FILE_BYTES)
    at = bytes.indexOf(FILE_MARK, end)
  }
  return length
}

/** The least of the client's own bounds of a reply, tokens; without one Infinity. */
function boundOf(bytes: Buffer, members: readonly JsonMember[] | undefined): number {
  let least = Infinity
  for (const name of BOUNDS) {
    const member = members && memberOf(members, name)
    if (member?.kind !== 'number') continue
    const bound = Number(bytes.toString('latin1', member.start, Math.min(member.end, member.start + 20)))
    if (bound >= 0) least = Math.min(least, bound)
  }
  return least
}
