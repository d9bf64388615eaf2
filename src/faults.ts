/** Who has to act on a fault: the client, the gateway's operator, or the backend's operator. */
export type FaultSource = 'client' | 'gateway' | 'upstream'

/** One row of the table of faults. */
export interface Fault {
  /** HTTP status that the client sees. */
  readonly status: number
  readonly source: FaultSource
  /** True where no byte of the request can have reached a backend, so that another may be tried without risk. */
  readonly nothingSent: boolean
  /** The client's text where the place that raises the fault has none better. */
  readonly message: string
}

const client = (status: number, message: string): Fault => ({ status, source: 'client', nothingSent: true, message })
const gateway = (status: number, message: string): Fault => ({ status, source: 'gateway', nothingSent: true, message })
/** What may go wrong in the gateway when a node has the request already. */
const amid = (status: number, message: string): Fault => ({ status, source: 'gateway', nothingSent: false, message })
const before = (status: number, message: string): Fault => ({ status, source: 'upstream', nothingSent: true, message })
const after = (status: number, message: string): Fault => ({ status, source: 'upstream', nothingSent: false, message })

/** Every fault that a client can meet. Code decides; wording never does. */
export const FAULTS = {
  ERR_BAD_REQUEST: client(400, 'The request could not be understood'),
  ERR_BAD_JSON: client(400, 'The body is not JSON'),
  ERR_BAD_SHAPE: client(400, 'The body has not the expected shape'),
  ERR_UNAUTHORIZED: client(401, 'A valid API key is needed'),
  ERR_FORBIDDEN: client(403, 'Unauthorized'),
  ERR_OTHER_SITE: client(403, "CORS_ORIGINS does not allow the page's origin"),
  ERR_NOT_FOUND: client(404, 'Not found'),
  ERR_METHOD_NOT_ALLOWED: client(405, 'Method not allowed'),
  ERR_JOB_REFUSED: client(405, 'The job was refused'),
  ERR_REQUEST_TIMEOUT: client(408, 'The request did not arrive in time'),
  ERR_BODY_TOO_LARGE: client(413, 'The body is too large'),
  ERR_BATCH_TOO_LARGE: client(413, 'The batch has more items than are allowed'),
  ERR_BODY_ENCODED: client(415, 'Compressed request bodies are not accepted'),
  ERR_EXPECTATION: client(417, 'Only "Expect: 100-continue" is understood'),
  ERR_KEY_REUSED: client(422, 'This Idempotency-Key was used with another body'),
  ERR_RATE_LIMITED: client(429, 'Too many requests, please try again later'),
  ERR_TOO_MANY_JOBS: client(429, 'Too many unfinished jobs'),
  ERR_TOO_MANY_BYTES: client(429, 'Unfinished requests take too much room'),
  ERR_HEADERS_TOO_LARGE: client(431, 'The request headers are too large'),
  ERR_LOOP: client(508, 'The request already passed through this gateway'),

  ERR_INTERNAL: amid(500, 'Internal server error'),
  ERR_NOT_READY: gateway(503, 'No node has been heard of yet'),
  ERR_DRAINING: gateway(503, 'The gateway is shutting down'),
  ERR_NO_NODE: gateway(503, 'No healthy node can take this request'),
  ERR_NO_SERVICE: gateway(503, 'No healthy services available'),
  ERR_LEDGER: amid(503, 'The gateway cannot record jobs at the moment'),
  ERR_LEDGER_FULL: gateway(503, 'The ledger is full of unfinished requests'),
  ERR_MEMORY_BUDGET: gateway(503, 'The gateway has no room for the request body'),
  ERR_ANSWER_BUDGET: amid(503, 'The gateway has no room for the answer'),
  ERR_NO_SOCKET: gateway(503, 'The gateway cannot open connections at the moment'),

  ERR_NODE_REFUSED: before(502, 'The node could not be reached'),
  ERR_NODE_BUSY: before(429, 'All nodes are busy, please try again later'),
  ERR_NODE_RESET: after(502, 'The node closed the connection before it answered'),
  ERR_NODE_NONSENSE: after(502, 'The node gave an answer that is not understood'),
  ERR_NODE_SILENT: after(504, 'The node did not answer in time'),
  ERR_NODE_SLOW: after(504, 'The node did not complete its answer in time'),
  ERR_NODE_BROKE: after(502, 'The answer broke off'),
  ERR_CLIENT_GONE: { status: 499, source: 'client', nothingSent: false, message: 'The client left' },
} as const satisfies Record<string, Fault>

export type FaultCode = keyof typeof FAULTS

/** A fault on its way to a client. `message` and `params` are shown to it; `cause` goes to the log only. */
export class GatewayFault extends Error {
  readonly code: FaultCode
  readonly params: Readonly<Record<string, unknown>> | undefined
  /** Response headers that belong to the fault, such as `Retry-After`. */
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(
    code: FaultCode,
    message: string = FAULTS[code].message,
    more: { params?: Record<string, unknown>; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause })
    this.name = 'GatewayFault'
    this.code = code
    this.params = more.params
    this.headers = more.headers
  }

  get fault(): Fault {
    return FAULTS[this.code]
  }
}
