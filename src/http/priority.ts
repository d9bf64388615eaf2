import { PRIORITIES, type Priority } from '../base/priority.ts'
import { GatewayFault } from '../faults.ts'
import type { Check } from './checks.ts'
import { contextOf } from './context.ts'

/** Of a caller whose key has none. */
const DEFAULT_PRIORITY: Priority = 'normal'

/**
 * Gives a request its priority: that of its caller's key, or a lower one that `X-Priority` asks for. Comes after authentication. A check
 * that refuses throws GatewayFault ERR_BAD_REQUEST naming what is allowed.
 *
 * @param priorityOf the priority of a caller's key; undefined where keys have none
 */
export function readPriority(priorityOf: ((caller: string) => Priority | undefined) | undefined): Check {
  return (req) => {
    const header = req.headers['x-priority']
    const context = contextOf(req)
    const most = priorityOf?.(context.caller)
    if (header === undefined) {
      if (most !== undefined) context.priority = most
    } else {
      context.priority = lower(asked(header), most ?? DEFAULT_PRIORITY)
    }
  }
}

function asked(header: string | readonly string[]): Priority {
  const text = String(header).trim().toLowerCase()
  const priority = PRIORITIES.find((one) => one === text)
  if (!priority) throw new GatewayFault('ERR_BAD_REQUEST', `X-Priority must be one of ${PRIORITIES.join(', ')}`)
  return priority
}

function lower(one: Priority, other: Priority): Priority {
  return PRIORITIES.indexOf(one) > PRIORITIES.indexOf(other) ? one : other
}
