import { tellWait } from '../base/waits.ts'
import { GatewayFault } from '../faults.ts'
import type { Fleet } from './fleet.ts'

/** How long requests wait for the first backend to respond, seconds. */
export const READY_WAIT_SECONDS = 3

/**
 * Waits until a backend has responded.
 *
 * @throws GatewayFault ERR_NOT_READY where none does within READY_WAIT_SECONDS
 */
export async function waitUntilReady(fleet: Fleet): Promise<void> {
  if (fleet.isReady) return
  const startedAt = performance.now()
  const isReady = await fleet.whenReady(READY_WAIT_SECONDS)
  tellWait('backends', startedAt)
  if (isReady) return
  throw new GatewayFault('ERR_NOT_READY', undefined, { headers: { 'Retry-After': '1' } })
}
