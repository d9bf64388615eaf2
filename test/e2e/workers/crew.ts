/** Gateways of several workers, and the processes that they are made of. */
import { Agent } from 'node:http'
import type { Gateway, GatewayOptions } from '../../kit/gateway.ts'
import { startGateway } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'

/** A gateway of two workers, whose backends are healthy at both. */
export async function startCrew(
  t: Cleanup,
  nodes: readonly LocalFakeNode[],
  env: Record<string, string> = {},
  { services, ...options }: Pick<GatewayOptions, 'services' | 'cwdFiles' | 'ipsLines'> = {},
): Promise<Gateway> {
  const more = services ? { services, ...options } : options
  const gateway = await startGateway(t, { nodes, env: { WORKERS: '2', ...env }, ...more })
  await allReady(gateway, nodes.length + (services?.length ?? 0))
  return gateway
}

/** Waits until each of the workers finds so many backends healthy. */
async function allReady(gateway: Gateway, nodes: number): Promise<void> {
  await eventually(async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => request(`${gateway.url}/health`)))
    return answers.every(
      (answer) => answer.json<{ healthy_services: string }>().healthy_services === `${nodes}/${nodes}`,
    )
  })
}

/** Process ids of the workers that have been started, by their numbers. */
export function workerPids(gateway: Gateway): Map<number, number> {
  const started = gateway.logs.filter(({ message }) => message === 'a worker was started')
  return new Map(started.map(({ worker, pid }) => [Number(worker), Number(pid)]))
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Clients with a connection each: the first is at one worker, the second at another, and so on in turn. */
export function connections(t: Cleanup, count: number): Agent[] {
  return Array.from({ length: count }, () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    return agent
  })
}
