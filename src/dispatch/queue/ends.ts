import { GatewayFault } from '../../faults.ts'
import type { Room } from './room.ts'

/** There is no room to wait. `seconds`: until it is worth coming again. */
export function queueFull({ limit, isFull }: Room, seconds: number): GatewayFault {
  const message = isFull
    ? `${limit} requests wait already, as many as may`
    : 'You have as many requests waiting as there are places left in the queue for others'
  return new GatewayFault('ERR_QUEUE_FULL', message, { params: { limit }, headers: retryAfter(seconds) })
}

/** It has waited for long enough. `seconds`: until it is worth coming again. */
export function queueTimeout(seconds: number): GatewayFault {
  return new GatewayFault('ERR_QUEUE_TIMEOUT', undefined, { headers: retryAfter(seconds) })
}

/** The gateway ends. */
export function queueClosed(): GatewayFault {
  return new GatewayFault('ERR_DRAINING', undefined, { headers: { Connection: 'close' } })
}

function retryAfter(seconds: number): Record<string, string> {
  return { 'Retry-After': String(seconds) }
}
