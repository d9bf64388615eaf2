import { GatewayFault, type FaultCode } from './faults.ts'

/** Longest id of a container or a model, bytes of UTF-8. */
export const MAX_ID_BYTES = 256

/** Whether this is too long for the id of a container or a model. */
export function isTooLong(id: string): boolean {
  // A UTF-16 unit takes one to three bytes.
  if (id.length * 3 <= MAX_ID_BYTES) return false
  return id.length > MAX_ID_BYTES || Buffer.byteLength(id) > MAX_ID_BYTES
}

/** The fault for an id that is too long; `what` names it, as in "A container id". */
export function tooLong(code: FaultCode, what: string): GatewayFault {
  return new GatewayFault(code, `${what} may have at most ${MAX_ID_BYTES} bytes`, {
    params: { max_bytes: MAX_ID_BYTES },
  })
}

/** @throws GatewayFault of that code where the id is too long */
export function refuseTooLong(id: string, code: FaultCode, what: string): void {
  if (isTooLong(id)) throw tooLong(code, what)
}
