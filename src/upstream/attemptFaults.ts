import { errors } from 'undici'
import { GatewayFault, type FaultCode } from '../faults.ts'
import { isExhausted } from '../fleet/exhausted.ts'

const NOT_HTTP = 'The node gave an answer that is not valid HTTP'
/** Errors besides undici's `HTTPParserError` that mean the head of an answer is not valid. */
const NOT_HTTP_CODES: ReadonlySet<string> = new Set([
  'ERR_NOT_HTTP',
  'UND_ERR_HEADERS_OVERFLOW',
  // Before the body begins: two lengths, or a length beside chunks.
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
])

/**
 * The fault behind a transport error.
 *
 * @param sent whether the request had been handed to a connection: past that nobody can say what the node has seen
 */
export function faultOfTransport(error: unknown, sent: boolean, answerBegun: boolean): GatewayFault {
  const code = codeOf(error, sent, answerBegun)
  const headers = code === 'ERR_NO_SOCKET' && { 'Retry-After': '1' }
  const message = code === 'ERR_NODE_NONSENSE' ? NOT_HTTP : undefined
  return new GatewayFault(code, message, { cause: error, ...(headers && { headers }) })
}

function codeOf(error: unknown, sent: boolean, answerBegun: boolean): FaultCode {
  const code = (error as { code?: string } | null)?.code ?? ''
  if (answerBegun) return 'ERR_NODE_BROKE'
  // A request that undici itself refuses was badly made here: no node has anything to do with it.
  if (error instanceof errors.InvalidArgumentError) return 'ERR_INTERNAL'
  // Whatever the code: an unreachable host can also be an established connection that is lost.
  if (!sent) return isExhausted(error) ? 'ERR_NO_SOCKET' : 'ERR_NODE_REFUSED'
  // A parser error comes without a code where undici cannot name it.
  if (error instanceof errors.HTTPParserError || NOT_HTTP_CODES.has(code)) return 'ERR_NODE_NONSENSE'
  return 'ERR_NODE_RESET'
}

/** Whether nothing listens at the address at all. */
export function isRefused(error: unknown): boolean {
  return (error as { code?: string } | null)?.code === 'ECONNREFUSED'
}
