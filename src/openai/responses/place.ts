import type { Fleet, TrackedNode } from '../../fleet/index.ts'
import { type Requirement, shortened } from '../../dispatch/index.ts'
import { GatewayFault } from '../../faults.ts'
import type { ResponseHomes } from './homes.ts'

/** Any OpenAI-compatible service that may have a response. */
export const ANY_HOME: Requirement = {
  key: 'any home',
  kind: 'openai',
  isFollowUp: true,
  fits: (node) => !node.isInfernet,
}

/** A response, and the service that has it. */
export interface Home {
  readonly id: string
  readonly service: TrackedNode
}

/**
 * Where a response is; undefined where no gateway is known to have seen it.
 *
 * @throws GatewayFault ERR_NO_RESPONSE for a response of another caller: at the service all callers may have one key
 */
export async function homeOf(
  id: string,
  caller: string,
  homes: ResponseHomes,
  fleet: Fleet,
): Promise<Home | undefined> {
  const known = await homes.lookUp(id)
  if (!known) return undefined
  if (known.caller !== undefined && known.caller !== caller) throw noResponse(id)
  const service = fleet.nodes.get(known.nodeKey)
  return service && { id, service }
}

/** What only this service can do. */
export function requireService({ service }: Home): Requirement {
  return { key: `service:${service.key}`, kind: 'openai', fits: (node) => node === service }
}

/** The same for what is there already: also while the service gets no new work. */
export function requireHome(home: Home): Requirement {
  return { ...requireService(home), key: `home:${home.service.key}`, isFollowUp: true }
}

export function noResponse(id: string): GatewayFault {
  return new GatewayFault('ERR_NO_RESPONSE', `Response with id '${shortened(id)}' not found`)
}

/** The outcome of a request at the only service that can take it. Refused, it is told why no other is asked. */
export async function atHome<T>(home: Home, forwarding: Promise<T>): Promise<T> {
  try {
    return await forwarding
  } catch (error) {
    throw error instanceof GatewayFault && error.code === 'ERR_NODE_REFUSED' ? homeIsDown(home) : error
  }
}

/** The fault where the service that has a response is down: no other has it. */
export function homeIsDown({ id }: Home): GatewayFault {
  return new GatewayFault('ERR_NO_SERVICE', `The service that has response '${shortened(id)}' is not available`)
}
