/** Gateways that share one Redis, each with a network of its own to it, and what tests ask of them. */
import assert from 'node:assert/strict'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { FakeNode } from '../../kit/fakeNode/index.ts'
import { startFaultyProxy, type FaultyProxy } from '../../kit/faultyProxy.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startRedis, type RedisServer } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import type { JobEntry } from '../jobs/support.ts'
import { assertError } from '../support.ts'

/** Whether nodes see all replicas under one address, and so show each the jobs of all, or each under one of its own. */
export type Addresses = 'one' | 'each'
export const ADDRESSES: readonly Addresses[] = ['one', 'each']

const PRELOADED = new URL('../jobs/otherAddress.ts', import.meta.url).href

const NO_LIMITS = { READ_RATELIMIT_REQS_PER_MIN: '0', MAX_JOBS_PER_CALLER: '0' }

/** For tests in which replicas die: seconds. */
export const SHORT_TIMEOUT = { REPLICA_TIMEOUT: '2' }

/** How long things that take a few seconds may take on a busy machine. */
export const LONG = { withinMs: 60_000, everyMs: 50 }

interface ReplicasOptions {
  /** Default 2. */
  count?: number
  nodes?: readonly { address: string }[]
  services?: readonly object[]
  /** Default `one`. */
  addresses?: Addresses
  env?: Record<string, string>
  /** Default: one that writes its changes to a file. */
  redis?: RedisServer
}

export interface Replicas {
  readonly redis: RedisServer
  readonly gateways: readonly Gateway[]
  /** The network between each gateway and Redis. */
  readonly lines: readonly FaultyProxy[]
}

/** The address under which a replica calls nodes, where each has its own. */
export function ownAddress(index: number): string {
  return `127.0.0.${61 + index}`
}

/** Starts replicas that are healthy and know of each other; ended after the test. */
export async function startReplicas(t: Cleanup, options: ReplicasOptions): Promise<Replicas> {
  const {
    count = 2,
    nodes = [],
    services,
    addresses = 'one',
    env,
    redis = await startRedis(t, { appendOnly: true }),
  } = options
  const lines = await Promise.all(Array.from({ length: count }, () => startFaultyProxy(t, redis.port)))
  const gateways = await Promise.all(
    lines.map((line, index) =>
      startGateway(t, {
        nodes,
        ...(services && { services }),
        env: {
          ...NO_LIMITS,
          STATE_URL: redis.urlAt(line.port),
          ...(addresses === 'each' && { NODE_OPTIONS: `--import ${PRELOADED}`, OWN_ADDRESS: ownAddress(index) }),
          ...env,
        },
      }),
    ),
  )
  const replicas = { redis, gateways, lines }
  await eventually(async () => (await living(redis)).length === count, { ...LONG, what: `${count} living replicas` })
  return replicas
}

/** The names of the replicas that Redis takes to be alive, sorted. */
export async function living(redis: RedisServer): Promise<string[]> {
  return ((await redis.call('HKEYS', '{igw}:beats')) as string[]).toSorted()
}

/** Waits until replicas, which these were, have been found dead. */
export async function buried(redis: RedisServer, names: readonly string[], count: number): Promise<void> {
  const look = async (): Promise<boolean> => {
    const alive = new Set(await living(redis))
    return names.filter((name) => !alive.has(name)).length >= count
  }
  await eventually(look, { ...LONG, what: `the death of ${count} replicas` })
}

/** Waits until all living replicas have reported so many times more. */
export async function beats(redis: RedisServer, count: number): Promise<void> {
  const read = async (): Promise<Map<string, number>> => {
    const numbers = (await redis.call('HGETALL', '{igw}:beats')) as unknown as Record<string, string>
    return new Map(Object.entries(numbers).map(([name, number]) => [name, Number(number)]))
  }
  const before = await read()
  const look = async (): Promise<boolean> => {
    const now = await read()
    return [...before].every(([name, n]) => (now.get(name) ?? Infinity) >= n + count)
  }
  await eventually(look, { ...LONG, what: `${count} beats of each replica` })
}

/** Submissions of a job with this `data.token` that reached the nodes. */
export function runsOf(nodes: readonly FakeNode[], token: string): number {
  const isIts = (text: string): boolean => text.includes(`"token":${JSON.stringify(token)}`)
  return nodes
    .flatMap((node) => [...node.seen('submit'), ...node.seen('batch'), ...node.seen('stream')])
    .filter(({ text }) => isIts(text)).length
}

/**
 * Fails if the job with this token ran too often after its replica died: another one that can read it at its node never runs it
 * again, and of several that cannot one does so, once.
 */
export function assertRuns(nodes: readonly FakeNode[], token: string, addresses: Addresses): void {
  const runs = runsOf(nodes, token)
  if (addresses === 'one') assert.equal(runs, 1, token)
  else assert.ok(runs === 1 || runs === 2, `${token} ran ${runs} times`)
}

/** Waits until this gateway takes jobs, of a caller of its own; those that it is given for that end at once. */
export async function takesJobs({ url }: Gateway): Promise<void> {
  const options = { localAddress: '127.0.0.99' }
  const look = async (): Promise<boolean> => {
    const { status } = await post(`${url}/api/jobs`, jobOf({ token: 'probe' }), options)
    return status === 200
  }
  await eventually(look, { ...LONG, what: 'an accepted job' })
}

/** Fails unless this is a refusal that says when to come again. */
export function assertRefused(answer: Answer): void {
  assertError(answer, 503)
  assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/)
}

/** The one entry of an answer. */
export function entryOf(word: string): JobEntry {
  return (JSON.parse(word) as JobEntry[])[0]!
}

/** What a gateway says of one job, as text; `undefined` where it says that it cannot tell, or nothing. */
export async function wordOf({ url }: { url: string }, id: string, timeoutMs = 60_000): Promise<string | undefined> {
  const answer = await request(`${url}/api/jobs?id=${id}`, { timeoutMs }).catch(() => undefined)
  if (!answer) return undefined
  if (answer.status !== 200) {
    assertRefused(answer)
    return undefined
  }
  assert.equal(answer.json<unknown[]>().length, 1, `${id} is not known to its caller: ${answer.text}`)
  return answer.text
}

export function isFinal(word: string): boolean {
  return !/"status": ?"running"/.test(word)
}
