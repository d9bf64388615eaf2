/** Bytes that are not JSON, or not JSON that an Infernet node (Python) could read. */
export class JsonSyntaxError extends Error {
  /** Index in the scanned buffer of the byte at which reading failed. */
  readonly offset: number

  /** `problem` says what is wrong; the offset is added to the message. */
  constructor(problem: string, offset: number) {
    super(`${problem} at byte ${offset}`)
    this.name = 'JsonSyntaxError'
    this.offset = offset
  }
}

/** How much of something a reader takes before it refuses a document. */
export interface JsonLimits {
  /** How deep arrays and objects may nest. */
  readonly depth: number
  /** How many digits an integer may have (one with a fraction or an exponent may have any number). */
  readonly integerDigits: number
  /** How many members or elements the outermost value may have. */
  readonly children: number
  /** Whether Python's NaN and infinities are refused: for what is passed on to readers of plain JSON. */
  readonly isPlain?: boolean
}

/** Well-formed bytes that go beyond one of the reader's limits. */
export class JsonLimitError extends JsonSyntaxError {
  readonly limit: keyof JsonLimits

  constructor(limit: keyof JsonLimits, problem: string, offset: number) {
    super(problem, offset)
    this.name = 'JsonLimitError'
    this.limit = limit
  }
}

/** Telling 100,000 parts takes some 10 ms and 6 MB: no sound body needs more, and a hostile one gets no more. */
const MOST_CHILDREN = 100_000

/**
 * What a Python node can surely read: its recursion limit is 1,000 frames, some of them already taken, and its
 * integers are read from at most 4,300 digits (`sys.int_info.default_max_str_digits`).
 */
export const NODE_LIMITS: JsonLimits = { depth: 500, integerDigits: 4300, children: MOST_CHILDREN }

/** For what nodes tell, which becomes part of answers that any client reads. */
export const PLAIN_LIMITS: JsonLimits = { ...NODE_LIMITS, isPlain: true }

/** For answers, which are only passed on: no node has to read them again. */
export const ANSWER_LIMITS: JsonLimits = { depth: 100_000, integerDigits: Infinity, children: MOST_CHILDREN }
