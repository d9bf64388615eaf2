/** B1 to B4: backends that answer badly, behind the gateway as it is, all in real time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnGateway, type Gateway } from '../../kit/gateway.ts'
import { post } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi, type FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { exponential, seeded } from './random.ts'

const QUIET = {
  LOG_LEVEL: 'info',
  PROXY_RATELIMIT_REQS_PER_MIN: '0',
  READ_RATELIMIT_REQS_PER_MIN: '0',
  MAX_JOBS_PER_CALLER: '0',
  REFRESH_INTERVAL: '30',
}
const BAD_STATUSES = [500, 401, 402, 404, 502, 504, 529]
const MODEL = 'small-model'
const SERVICE_SECONDS = 0.2

export interface RefusalTrial {
  readonly id: string
  readonly title: string
  /** Runs it and tells what came of it. */
  run(t: Cleanup, quick: boolean): Promise<string>
}

export function refusalTrials(): RefusalTrial[] {
  return [
    ...BAD_STATUSES.map((status) => ({
      ...{ id: 'B1', title: `two services, one answers ${status} at once, four clients` },
      run: (t: Cleanup, quick: boolean) => badService(t, status, quick ? 200 : 1000),
    })),
    ...[
      ...[500, 502].map((status) => ({ id: 'B2', nodes: 3, perSecond: 4, status })),
      { id: 'B3', nodes: 10, perSecond: 20, status: 500 },
    ].map(({ id, nodes, perSecond, status }) => ({
      ...{ id, title: `${nodes} nodes at ${perSecond} jobs a second, one answers ${status} to each` },
      run: (t: Cleanup) => badNode(t, nodes, perSecond, status),
    })),
    ...['chat/completions', 'moderations'].map((path) => ({
      ...{ id: 'B4', title: `three services, half of all requests to /${path} are one client's bad input` },
      run: (t: Cleanup, quick: boolean) => badInput(t, path, quick ? 15 : 60),
    })),
  ]
}

/** Runs one trial, and ends what it started. */
export async function runRefusalTrial(trial: RefusalTrial, quick: boolean): Promise<string> {
  const tasks: (() => unknown)[] = []
  try {
    return await trial.run({ after: (task) => tasks.push(task) }, quick)
  } finally {
    for (const task of tasks.reverse()) await task()
  }
}

async function badService(t: Cleanup, status: number, requests: number): Promise<string> {
  const bad = await startFakeOpenAi({}, t)
  const good = await startFakeOpenAi({ seconds: SERVICE_SECONDS, concurrency: 64 }, t)
  await bad.answer(status, 'chat')
  const gateway = await gatewayOf(t, [bad, good])
  let [left, failed] = [requests, 0]
  const client = async (): Promise<void> => {
    while (left-- > 0) if ((await chat(gateway)) !== 200) failed++
  }
  await Promise.all([client(), client(), client(), client()])
  return `${failed} of ${requests} failed, the bad one was asked ${bad.seen('chat').length} times`
}

async function badNode(t: Cleanup, nodes: number, perSecond: number, status: number): Promise<string> {
  const sims = await Promise.all(Array.from({ length: nodes }, () => startFakeNode({ rateLimit: 0 }, t)))
  const gateway = await spawnGateway(t, { nodes: sims.map(({ address }) => address), env: QUIET })
  await gateway.ready(nodes)
  await sims[0]!.answer(status, 'submit')
  const random = seeded(nodes)
  const failed: number[] = []
  const sent: Promise<void>[] = []
  for (let n = 0; n < 300; n++) {
    const submit = async (): Promise<void> => {
      const answer = await post(`${gateway.url}/api/jobs`, { containers: ['echo'], data: { seconds: 0.3 } })
      if (answer.status !== 200) failed.push(n)
    }
    sent.push(submit())
    await sleep(1000 * exponential(random, 1 / perSecond))
  }
  await Promise.all(sent)
  return `${failed.length} of 300 failed, ${failed.filter((n) => n >= 50).length} of these after the first 50`
}

/** Good requests keep the services 70 % busy, with and without as many bad ones from another client. */
async function badInput(t: Cleanup, path: string, seconds: number): Promise<string> {
  const places = 4
  const services = await Promise.all(
    Array.from({ length: 3 }, () => startFakeOpenAi({ seconds: SERVICE_SECONDS, concurrency: places }, t)),
  )
  const gateway = await gatewayOf(t, services)
  const perSecond = (0.7 * places * services.length) / SERVICE_SECONDS
  const ask = async (isBad: boolean, size: number): Promise<number> => {
    const sim = isBad ? { failAfter: 0, seconds: 0 } : { seconds: SERVICE_SECONDS * size }
    const body = { model: MODEL, messages: [{ role: 'user', content: 'x' }], input: 'x', sim }
    const startedAt = performance.now()
    await post(`${gateway.url}/v1/${path}`, body, { localAddress: isBad ? '127.0.0.2' : '127.0.0.1' })
    return (performance.now() - startedAt) / 1000
  }
  const meanOf = async (isBad: boolean): Promise<number> => {
    const random = seeded(7)
    const badRandom = seeded(8)
    const times: Promise<number>[] = []
    const endsAt = performance.now() + seconds * 1000
    const stream = async (next: () => number, send: () => void): Promise<void> => {
      for (let at = performance.now(); at < endsAt; at += 1000 * exponential(next, 1 / perSecond)) {
        const ahead = at - performance.now()
        if (ahead > 1) await sleep(ahead)
        send()
      }
    }
    const bad: Promise<number>[] = []
    await Promise.all([
      stream(random, () => times.push(ask(false, exponential(random, 1)))),
      ...(isBad ? [stream(badRandom, () => bad.push(ask(true, 0)))] : []),
    ])
    await Promise.all(bad)
    const all = await Promise.all(times)
    return all.reduce((sum, value) => sum + value, 0) / all.length
  }
  await meanOf(false)
  const without = await meanOf(false)
  const withBad = await meanOf(true)
  const ratio = (withBad / without).toFixed(3)
  return `mean of the others ${withBad.toFixed(3)} s, without bad input ${without.toFixed(3)} s: ${ratio} ×`
}

async function gatewayOf(t: Cleanup, services: readonly FakeOpenAi[]): Promise<Gateway> {
  const listed = services.map(({ address, url }) => ({ name: address, url, api_key: 'ours' }))
  const gateway = await spawnGateway(t, { services: listed, env: QUIET })
  await gateway.ready(services.length)
  return gateway
}

async function chat({ url }: Gateway): Promise<number> {
  const messages = [{ role: 'user', content: 'x' }]
  return (await post(`${url}/v1/chat/completions`, { model: MODEL, messages })).status
}
