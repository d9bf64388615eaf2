import { JsonStream, JsonSyntaxError, stringAt, type StreamListener } from '../../json/index.ts'
import type { ResultPart } from '../../ledger/index.ts'

/** An id or a state that is longer is none; a name that is longer is none of those that matter. */
const MAX_TEXT_BYTES = 1500
/** Room in an answer for all that is no result. */
const MAX_REST_BYTES = 1_000_000
const NULL = Buffer.from('null')
const OPEN_BRACKET = 0x5b
const QUOTE = 0x22

/** Takes the bytes of a result as they come. */
export interface ResultSink {
  write(part: ResultPart, bytes: Buffer): void
  /** What was written belongs to no result. */
  reset(): void
}

/** What a node's answer says of the one job that it was asked for. */
export type LoneVerdict = 'success' | 'failed' | 'running' | 'unknown'

/** A part of a result that is longer than allowed. */
export class ResultTooLargeError extends Error {
  readonly part: ResultPart

  constructor(part: ResultPart) {
    super(`The ${part} is too large`)
    this.part = part
  }
}

type Member = 'id' | 'status' | ResultPart

const MEMBERS: ReadonlyMap<string, Member> = new Map([
  ['id', 'id'],
  ['status', 'status'],
  ['result', 'result'],
  ['intermediate_results', 'intermediate'],
])

/** What is known of the list's present entry. */
interface Entry {
  id?: string | undefined
  status?: string | undefined
  readonly parts: Set<ResultPart>
}

/**
 * Reads a node's `GET /api/jobs?id=…` for one job, piece by piece, and passes on the bytes of its result as they came
 * while all of the answer is checked. What was passed on counts only once `finish` says that the job has ended.
 */
export class ResultScanner implements StreamListener {
  readonly #id: string
  readonly #sink: ResultSink
  readonly #maxBytes: number
  readonly #stream = new JsonStream(this, 2)
  #verdict: LoneVerdict = 'unknown'
  #entry: Entry | undefined
  /** The member whose value comes next. */
  #member: Member | undefined
  /** What takes the bytes that pass, from `#from` in the present piece on. */
  #take: ((bytes: Buffer) => void) | undefined
  #from = 0
  #piece: Buffer = Buffer.alloc(0)
  #text: Buffer[] = []
  #textBytes = 0
  #allBytes = 0

  /** `maxBytes` bounds each part of the result. */
  constructor(id: string, sink: ResultSink, maxBytes: number) {
    this.#id = id
    this.#sink = sink
    this.#maxBytes = maxBytes
  }

  /** @throws JsonSyntaxError, ResultTooLargeError */
  push(piece: Buffer): void {
    this.#allBytes += piece.length
    // Whatever else an answer holds is not endless.
    if (this.#allBytes > 2 * this.#maxBytes + MAX_REST_BYTES) throw new ResultTooLargeError('result')
    this.#piece = piece
    this.#from = 0
    this.#stream.push(piece)
    this.#take?.(piece.subarray(this.#from))
  }

  /** The answer is complete. @throws JsonSyntaxError */
  finish(): LoneVerdict {
    this.#stream.end()
    return this.#verdict
  }

  begin(level: number, at: number): void {
    if (level === 0 && this.#piece[at] !== OPEN_BRACKET) throw new JsonSyntaxError('Expected a list', at)
    if (level === 1) {
      this.#entry = { parts: new Set() }
      this.#member = undefined
    }
    if (level < 2 || this.#isDecided) return
    if (this.#member === 'id' || this.#member === 'status') this.#beginText(at)
    else if (this.#member) this.#beginPart(this.#member, at)
  }

  end(level: number, at: number): void {
    if (level === 1) this.#endEntry()
    if (level !== 2 || !this.#take) return
    if (this.#member === 'id' || this.#member === 'status') this.#entry![this.#member] = this.#endText(at)
    else this.#endTaking(at)
    this.#member = undefined
  }

  beginName(level: number, at: number): void {
    if (level === 2) this.#beginText(at)
  }

  endName(level: number, at: number): void {
    if (level === 2) this.#member = MEMBERS.get(this.#endText(at) ?? '')
  }

  /** A node may tell one id twice, finished and running; the finished one stands. */
  get #isDecided(): boolean {
    return this.#verdict === 'success' || this.#verdict === 'failed'
  }

  #beginPart(part: ResultPart, at: number): void {
    const { parts } = this.#entry!
    // Its first bytes are written already, and the last one of several would count.
    if (parts.has(part)) throw new JsonSyntaxError(`${part} is named twice`, at)
    parts.add(part)
    let partBytes = 0
    this.#beginTaking(at, (bytes) => {
      partBytes += bytes.length
      if (partBytes > this.#maxBytes) throw new ResultTooLargeError(part)
      this.#sink.write(part, bytes)
    })
  }

  #endEntry(): void {
    const { id, status, parts } = this.#entry!
    if (this.#isDecided) return
    if (id === this.#id && (status === 'success' || status === 'failed')) {
      this.#verdict = status
      if (!parts.has('result')) this.#sink.write('result', NULL)
    } else {
      // A state that we have not heard of is none of the final ones.
      if (id === this.#id && status !== undefined) this.#verdict = 'running'
      if (parts.size > 0) this.#sink.reset()
    }
  }

  #beginText(at: number): void {
    this.#text = []
    this.#textBytes = 0
    this.#beginTaking(at, (bytes) => {
      this.#textBytes += bytes.length
      if (this.#textBytes <= MAX_TEXT_BYTES) this.#text.push(Buffer.from(bytes))
    })
  }

  /** The text, unless it is too long, or no string. */
  #endText(at: number): string | undefined {
    this.#endTaking(at)
    if (this.#textBytes > MAX_TEXT_BYTES) return undefined
    const bytes = Buffer.concat(this.#text)
    return bytes[0] === QUOTE ? stringAt(bytes, { start: 0, end: bytes.length }) : undefined
  }

  #beginTaking(at: number, take: (bytes: Buffer) => void): void {
    this.#take = take
    this.#from = at
  }

  #endTaking(at: number): void {
    this.#take?.(this.#piece.subarray(this.#from, at))
    this.#take = undefined
  }
}
