/** Gateway processes in front of backends that are healthy. */
import { spawnGateway, type Gateway, type GatewayOptions } from '../gateway.ts'
import type { Cleanup } from '../wait.ts'

/** Settings that let a caller ask as often as a test likes. */
const NO_LIMITS = {
  PROXY_RATELIMIT_REQS_PER_MIN: '0',
  READ_RATELIMIT_REQS_PER_MIN: '0',
  RATELIMIT_REQS_PER_MIN: '0',
}

interface Options extends Omit<GatewayOptions, 'nodes'> {
  nodes?: readonly (string | { address: string })[]
  /** How many backends have to be healthy. Default: all nodes and services. */
  healthy?: number
}

/** A gateway that has found its backends healthy. Its limits are off, unless `env` sets them. */
export async function startGateway(t: Cleanup, options: Options): Promise<Gateway> {
  const { nodes = [], env, healthy = nodes.length + (options.services?.length ?? 0), ...others } = options
  const gateway = await spawnGateway(t, {
    ...others,
    nodes: nodes.map((node) => (typeof node === 'string' ? node : node.address)),
    env: { ...NO_LIMITS, ...env },
  })
  await gateway.ready(healthy)
  return gateway
}

/** Such a gateway in front of nodes alone. */
export function gatewayFor(
  t: Cleanup,
  nodes: readonly { address: string }[],
  env: Record<string, string> = {},
): Promise<Gateway> {
  return startGateway(t, { nodes, env })
}

/** An entry of the services file. Named by its address, so that `X-Infernet-Node` and `/stats` speak of it by that. */
export function entryOf({ address, url }: { address: string; url: string }, more: object = {}): object {
  return { name: address, url, ...more }
}

/** Such a gateway in front of services alone, of which `healthy` have to be. */
export function gatewayForServices(
  t: Cleanup,
  services: readonly object[],
  env: Record<string, string> = {},
  healthy = services.length,
): Promise<Gateway> {
  return startGateway(t, { services, env, healthy })
}
