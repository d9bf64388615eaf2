import { GatewayFault, type FaultCode } from '../faults.ts'

/** undici's and the system's codes for "no connection came about". */
const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
])

/**
 * The fault behind a transport error.
 *
 * @param sent whether the request had been handed to a connection: past that nobody can say what the node has seen
 */
export function faultOfTransport(error: unknown, sent: boolean, answerBegun: boolean): GatewayFault {
  const code = (error as { code?: string } | null)?.code ?? ''
  return new GatewayFault(codeOf(code, sent, answerBegun), undefined, { cause: error })
}

function codeOf(code: string, sent: boolean, answerBegun: boolean): FaultCode {
  if (answerBegun) return 'ERR_NODE_BROKE'
  if (!sent || NOT_CONNECTED.has(code)) return 'ERR_NODE_REFUSED'
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'ERR_NODE_SILENT'
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'ERR_NODE_NONSENSE'
  return 'ERR_NODE_RESET'
}

/** Whether nothing listens at the address at all. */
export function isRefused(error: unknown): boolean {
  return (error as { code?: string } | null)?.code === 'ECONNREFUSED'
}
