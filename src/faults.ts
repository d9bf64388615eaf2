/** Who has to act on a fault: the client, the gateway's operator, or the backend's operator. */
type FaultSource = 'client' | 'gateway' | 'upstream'

/** One row of the table of faults. */
export interface Fault {
  /** HTTP status that the client sees. */
  readonly status: number
  /** The fault's name for programs, where the shape of an error has room for it. Documented: never changes. */
  readonly clientCode: string
  readonly source: FaultSource
  /** True where no byte of the request can have reached a backend, so that another may be tried without risk. */
  readonly nothingSent: boolean
  /** The client's text where the place that raises the fault has none better. */
  readonly message: string
}

type Row = (status: number, clientCode: string, message: string) => Fault

const rowsOf =
  (source: FaultSource, nothingSent: boolean): Row =>
  (status, clientCode, message) => ({ status, clientCode, source, nothingSent, message })

const client = rowsOf('client', true)
const gateway = rowsOf('gateway', true)
/** What may go wrong in the gateway when a node has the request already. */
const amid = rowsOf('gateway', false)
const before = rowsOf('upstream', true)
const after = rowsOf('upstream', false)

/** Every fault that a client can meet. Code decides; wording never does. */
export const FAULTS = {
  ERR_BAD_REQUEST: client(400, 'bad_request', 'The request could not be understood'),
  ERR_BAD_JSON: client(400, 'invalid_json', 'The body is not JSON'),
  ERR_BAD_SHAPE: client(400, 'invalid_request', 'The body does not have the expected shape'),
  ERR_BAD_ENCODING: client(400, 'invalid_encoding', 'The body does not match its Content-Encoding'),
  ERR_NO_MODEL: client(400, 'missing_required_parameter', 'No model specified'),
  ERR_UNAUTHORIZED: client(401, 'invalid_api_key', 'A valid API key is needed'),
  ERR_FORBIDDEN: client(403, 'forbidden', 'Unauthorized'),
  ERR_OTHER_SITE: client(403, 'origin_not_allowed', "CORS_ORIGINS does not allow the page's origin"),
  ERR_NO_OPS_KEY: client(403, 'ops_key_not_set', 'Set OPS_KEY to use /admin'),
  ERR_NOT_FOUND: client(404, 'not_found', 'Not found'),
  ERR_MODEL_NOT_FOUND: client(404, 'model_not_found', 'The model does not exist'),
  ERR_NO_RESPONSE: client(404, 'response_not_found', 'No such response'),
  ERR_METHOD_NOT_ALLOWED: client(405, 'method_not_allowed', 'Method not allowed'),
  ERR_JOB_REFUSED: client(405, 'job_refused', 'The job was refused'),
  ERR_REQUEST_TIMEOUT: client(408, 'request_timeout', 'The request did not arrive in time'),
  ERR_DRAINED_BY_LIST: client(
    409,
    'drained_by_list',
    'The list of this node drains it: take "drain" out of its entry there',
  ),
  ERR_BODY_TOO_LARGE: client(413, 'request_too_large', 'The body is too large'),
  ERR_BATCH_TOO_LARGE: client(413, 'batch_too_large', 'The batch has more items than are allowed'),
  ERR_BODY_ENCODED: client(415, 'unsupported_encoding', 'Unsupported Content-Encoding'),
  ERR_EXPECTATION: client(417, 'expectation_failed', 'Only "Expect: 100-continue" is understood'),
  ERR_KEY_REUSED: client(422, 'idempotency_key_reused', 'This Idempotency-Key was used with another body'),
  ERR_NO_UPGRADE: client(426, 'upgrade_required', 'This path is for WebSockets'),
  ERR_RATE_LIMITED: client(429, 'rate_limit_exceeded', 'Too many requests, please try again later'),
  ERR_QUEUE_FULL: client(429, 'queue_full', 'Too many requests wait for a place at a backend'),
  ERR_TOO_MANY_JOBS: client(429, 'too_many_jobs', 'Too many unfinished jobs'),
  ERR_TOO_MANY_BYTES: client(429, 'too_many_bytes', 'Unfinished requests take too much space'),
  ERR_HEADERS_TOO_LARGE: client(431, 'headers_too_large', 'The request headers are too large'),
  ERR_LOOP: client(508, 'loop_detected', 'The request already passed through this gateway'),

  ERR_INTERNAL: amid(500, 'internal_error', 'Internal server error'),
  ERR_NOT_READY: gateway(503, 'not_ready', 'No node has responded yet'),
  ERR_DRAINING: gateway(503, 'shutting_down', 'The gateway is shutting down'),
  ERR_NO_NODE: gateway(503, 'no_healthy_backend', 'No healthy node can take this request'),
  ERR_NO_SERVICE: gateway(503, 'no_healthy_backend', 'No healthy services available'),
  ERR_QUEUE_TIMEOUT: gateway(503, 'queue_timeout', 'No backend had a place for the request in time'),
  ERR_LEDGER: amid(503, 'ledger_unavailable', 'The gateway cannot record jobs at the moment'),
  ERR_LEDGER_FULL: gateway(503, 'ledger_full', 'The ledger is full of unfinished requests'),
  ERR_MEMORY_BUDGET: gateway(503, 'memory_budget_exceeded', 'The gateway has no room for the request body'),
  ERR_ANSWER_BUDGET: amid(503, 'memory_budget_exceeded', 'The gateway has no room for the response'),
  ERR_NO_SOCKET: gateway(503, 'no_sockets', 'The gateway cannot open connections at the moment'),

  ERR_NODE_REFUSED: before(502, 'backend_unreachable', 'The node could not be reached'),
  ERR_NODE_BUSY: before(429, 'rate_limit_exceeded', 'All nodes are busy, please try again later'),
  ERR_NODE_RESET: after(502, 'backend_reset', 'The node closed the connection before responding'),
  ERR_NODE_NONSENSE: after(502, 'backend_invalid_answer', 'The node sent an invalid response'),
  ERR_NODE_SILENT: after(504, 'backend_timeout', 'The node did not respond in time'),
  ERR_NODE_SLOW: after(504, 'backend_timeout', 'The node did not complete its response in time'),
  ERR_NODE_BROKE: after(502, 'backend_broke_off', 'The response ended prematurely'),
  ERR_CLIENT_GONE: {
    status: 499,
    clientCode: 'client_gone',
    source: 'client',
    nothingSent: false,
    message: 'The client left',
  },
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
