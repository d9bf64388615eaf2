/** The gateway, hostile backends and honest ones. */
import { readdirSync, readFileSync } from 'node:fs'
import { spawnGateway, type Gateway } from '../kit/gateway.ts'
import { request } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { HostileBackend } from './backend.ts'
import { CONTAINER, MODEL } from './seeds.ts'

const HOSTILE = 3

const ENV = {
  STATE_URL: 'sqlite:data/gateway.db',
  STATE_MAX_BYTES: '20mb',
  LOG_LEVEL: 'info',
  // Backends that are silent are given up soon, and jobs that nobody accounts for as well.
  CONNECT_TIMEOUT: '1',
  PROXY_TIMEOUT: '2',
  STREAM_IDLE_TIMEOUT: '2',
  JOB_TIMEOUT: '5',
  JOB_TTL: '5',
  RATELIMIT_REQS_PER_MIN: '0',
  PROXY_RATELIMIT_REQS_PER_MIN: '0',
  READ_RATELIMIT_REQS_PER_MIN: '0',
  MAX_JOBS_PER_CALLER: '200',
  STATUS_ALLOWED_IPS: '127.0.0.0/28',
  MAX_BODY: '256kb',
  MEMORY_BUDGET: '64mb',
}

export interface World {
  readonly gateway: Gateway
}

export async function createWorld(t: Cleanup, seed: number): Promise<World> {
  const hostile = Array.from({ length: HOSTILE }, (_, i) => new HostileBackend(seed + 1000 * i))
  await Promise.all(hostile.map((backend) => backend.start(t)))
  const node = await startFakeNode(
    { containers: [CONTAINER], rateLimit: 0, record: 0, chain: true, concurrency: 100 },
    t,
  )
  const service = await startFakeOpenAi({ models: [MODEL], record: 0 }, t)
  const gateway = await spawnGateway(t, {
    nodes: [...hostile.map(({ address }) => address), node.address],
    services: [
      { name: 'honest', url: service.url },
      ...hostile.map(({ address }, i) => ({ name: `hostile-${i}`, url: `http://${address}` })),
    ],
    env: ENV,
  })
  await gateway.ready()
  return { gateway }
}

/** What the gateway holds. */
export interface Holdings {
  readonly descriptors: number
  readonly residentBytes: number
}

export function holdingsOf({ pid }: Gateway): Holdings {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    residentBytes: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024,
  }
}

interface Stats {
  services: { name: string; in_flight: number }[]
  jobs: { unfinished: number }
}

/** Waits until nothing is under way any more. Rejects, naming what still is. */
export async function atRest({ url }: Gateway): Promise<void> {
  let last: Stats | undefined
  const look = async (): Promise<boolean> => {
    last = (await request(`${url}/stats`)).json<Stats>()
    return last.services.every(({ in_flight }) => in_flight === 0) && last.jobs.unfinished === 0
  }
  try {
    await eventually(look, { withinMs: 90_000, everyMs: 200, what: 'rest' })
  } catch {
    const busy = last?.services.filter(({ in_flight }) => in_flight !== 0) ?? []
    const held = busy.map(({ name, in_flight }) => `${in_flight} in flight at ${name}`)
    throw new Error(`not at rest: ${[...held, `${last?.jobs.unfinished} unfinished jobs`].join(', ')}`)
  }
}
