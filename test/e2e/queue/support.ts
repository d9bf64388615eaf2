/** What the tests of the queue share: callers, their requests, and how many of them wait. */
import assert from 'node:assert/strict'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import type { Gateway, GatewayOptions } from '../../kit/gateway.ts'
import { startHeldService } from '../../kit/heldService.ts'
import type { Held, HeldService } from '../../kit/heldService.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** Polls come only at the start, so that nothing but traffic tells the gateway of its backends. */
export const SELDOM = { REFRESH_INTERVAL: '60' }

/** A caller: known by the address, or by the key where there is one. */
export interface Caller {
  readonly localAddress?: string
  readonly headers?: Record<string, string>
}

/** The caller with that number, known by an address of its own. */
export function caller(n: number): Caller {
  return { localAddress: `127.0.1.${n}` }
}

/** The caller with that key. */
export function holder(key: string, headers: Record<string, string> = {}): Caller {
  return { headers: { 'X-API-Key': key, ...headers } }
}

export interface Question extends Caller {
  /** The name by which a held service knows the request. */
  readonly label: string
  readonly model?: string
  readonly path?: string
  readonly isStream?: boolean
  readonly prompt?: string
  /** Further members of the body. */
  readonly more?: object
  readonly signal?: AbortSignal
}

/** Asks, and returns the whole answer, a stream's too. What becomes of it after the test is of no interest. */
export function ask({ url }: Gateway, question: Question): Promise<Answer> {
  const { label, model = 'small-model', path = '/v1/chat/completions', isStream = false, more } = question
  const messages = [{ role: 'user', content: question.prompt ?? 'Hello' }]
  const body = { model, messages, max_tokens: 100, stream: isStream, ...more }
  const options: RequestOptions = {
    headers: { 'X-Request-Id': label, ...question.headers },
    timeoutMs: 60_000,
    ...(question.localAddress !== undefined && { localAddress: question.localAddress }),
    ...(question.signal && { signal: question.signal }),
  }
  const answering = post(`${url}${path}`, body, options)
  answering.catch(() => undefined)
  return answering
}

/** Requests that wait in the gateway. */
export async function waiting(gateway: Gateway, headers: Record<string, string> = {}): Promise<number> {
  const { queue } = (await request(`${gateway.url}/stats`, { headers })).json<{ queue?: { waiting: number } }>()
  assert.ok(queue, '/stats has no queue')
  return queue.waiting
}

/** Resolves once that many requests wait. */
export async function waitingIs(gateway: Gateway, wanted: number, headers: Record<string, string> = {}): Promise<void> {
  let seen = NaN
  const look = async (): Promise<boolean> => (seen = await waiting(gateway, headers)) === wanted
  await eventually(look, { withinMs: 10_000 }).catch((error: unknown) => {
    throw Number.isNaN(seen) ? error : new Error(`${seen} requests wait, not ${wanted}`)
  })
}

/** Requests that were queued up. */
interface QueuedUp {
  answers(): Promise<Answer[]>
}

/** Asks one after the other, each once the one before it waits. The gateway has to have no free place for any. */
export async function queueUp(gateway: Gateway, questions: readonly Question[]): Promise<QueuedUp> {
  const before = await waiting(gateway)
  const asked: Promise<Answer>[] = []
  for (const question of questions) {
    asked.push(ask(gateway, question))
    await waitingIs(gateway, before + asked.length)
  }
  return { answers: () => Promise.all(asked) }
}

/** As many questions of one caller, named by a letter and a number: `a1`, `a2`, … */
export function questions(letter: string, count: number, more: Omit<Question, 'label'> = {}): Question[] {
  return Array.from({ length: count }, (_, i) => ({ label: `${letter}${i + 1}`, ...more }))
}

/** Answers so many requests, one after the other, each with as many tokens, and returns their names in the order in which they came. */
export async function answerInTurn(service: HeldService, count: number, tokens = 10): Promise<string[]> {
  const labels: string[] = []
  while (labels.length < count) {
    const held = await service.next()
    labels.push(held.label)
    held.answer(tokens)
  }
  return labels
}

/** How many of the names begin with that letter. */
export function countOf(labels: readonly string[], letter: string): number {
  return labels.filter((label) => label.startsWith(letter)).length
}

/** How long an answer says that its request waited, in milliseconds; 0 where it did not. */
export function queueMs({ headers }: Pick<Answer, 'headers'>): number {
  const value = headers['x-queue-ms'] ?? '0'
  assert.match(String(value), /^\d+$/)
  return Number(value)
}

/** Fails unless the answer asks its client to come again in a whole number of seconds, at least one. */
export function assertRetryAfter({ headers }: Answer): void {
  assert.match(headers['retry-after'] ?? 'none', /^[1-9]\d*$/)
}

/** A service whose only place a request has, and that alone has its model. */
interface Scene {
  readonly gateway: Gateway
  readonly service: HeldService
  readonly model: string
  readonly first: Held
}

/** One gateway for several tests, one after the other: each has a service, and thereby a queue, of its own. */
interface Stage {
  readonly gateway: Gateway
  /** A service that no test has had yet. After the test nothing waits there any more. */
  scene(t: Cleanup): Promise<Scene>
}

/** Starts a stage for so many tests. Each first request is that of `occupant`. */
export async function startStage(
  t: Cleanup,
  count: number,
  { occupant = caller(200), env, ...options }: Omit<GatewayOptions, 'services'> & { occupant?: Caller } = {},
): Promise<Stage> {
  const models = Array.from({ length: count }, (_, n) => `model-${n + 1}`)
  const services = await Promise.all(models.map((model) => startHeldService(t, { models: [model] })))
  const gateway = await startGateway(t, {
    ...options,
    services: services.map((service) => entryOf(service, { concurrency: 1 })),
    env: { ...SELDOM, ...env },
  })
  let used = 0
  const scene: Stage['scene'] = async (t) => {
    const [service, model] = [services[used]!, models[used]!]
    used++
    t.after(async () => {
      service.letGo()
      if (env?.QUEUE_SIZE !== '0') await waitingIs(gateway, 0)
    })
    void ask(gateway, { label: 'first', model, ...occupant })
    return { gateway, service, model, first: await service.next() }
  }
  return { gateway, scene }
}
