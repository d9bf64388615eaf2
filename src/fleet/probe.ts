import axios, { type AxiosResponse } from 'axios'
import type { Readable } from 'node:stream'
import { urlOf } from './address.ts'
import type { EngineCounts } from './engines/engineLoad.ts'
import { engineCountSteps } from './engines/metricsText.ts'
import { isExhausted } from './exhausted.ts'
import { InfoShapeError, infoSteps, type LeftOut, type NodeInfo } from './info.ts'
import { modelSteps, type ModelEntry, type ModelList } from './modelList.ts'
import type { TrackedNode } from './node.ts'
import type { ForwardProxies } from './forwardProxies.ts'
import type { RateLimitHeaders } from './politeness.ts'
import { Polls } from './polls.ts'
import type { Identity } from '../base/identity.ts'
import { keyHeaderOf } from './serviceKey.ts'
import type { MemoryBudget, Reservation } from '../base/memory/budget.ts'
import { Collector } from '../base/memory/collector.ts'
import { inTurns, type Steps } from '../base/turns.ts'

const MAX_ANSWER_BYTES = 2_000_000
/** This much of an answer always has room, so that nodes with long answers cannot keep others from being polled. */
const ALWAYS_READ_BYTES = 16_384
/** What a service without a list of models, or with one that is not for everybody, says where others have theirs. */
const LISTLESS_STATUSES: readonly number[] = [401, 403, 404, 405, 501]

/** The version of Anthropic's API whose list of models is asked for. */
const ANTHROPIC_VERSION = '2023-06-01'

const JSON_HEADERS = { Accept: 'application/json' }
/** Engines write and compress metrics in the loop that also serves their requests. */
const METRICS_HEADERS = { Accept: 'text/plain; version=0.0.4', 'Accept-Encoding': 'identity' }

/** What one poll found. */
export type ProbeResult =
  | { readonly outcome: 'info'; readonly info: NodeInfo; readonly headers: RateLimitHeaders }
  | {
      readonly outcome: 'models'
      /** Missing where the service lists none, and its operator does. */
      readonly models?: readonly ModelEntry[] | undefined
      readonly leftOut?: LeftOut | undefined
      readonly prefix: string
    }
  | { readonly outcome: 'pushback'; readonly headers: RateLimitHeaders }
  /** Nobody could be asked, for want of something here; says nothing of the node. */
  | { readonly outcome: 'unasked'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string; readonly refused: boolean; readonly answered: boolean }

/** What a service tells of its load: `none` where it tells none. `unasked`: for want of something here. */
export type LoadAnswer = EngineCounts | 'none' | 'failed' | 'unasked'

/** Nothing came back: neither an answer nor a refusal. */
export function isSilence(result: ProbeResult): boolean {
  return result.outcome === 'failed' && !result.refused && !result.answered
}

export interface ProberOptions {
  /** Most time one poll may take, seconds. */
  readonly timeoutSeconds: number
  /** By whom nodes are polled; a gateway that polls itself knows itself again. */
  readonly identity: Identity
  /** Where answers are counted until they are read; without it they are not. */
  readonly memory?: MemoryBudget | undefined
  readonly proxies?: ForwardProxies | undefined
}

/** An answer of which nothing but its head was read yet. */
type Opened = AxiosResponse<Readable>
/** An answer read to its end. */
type Answer = Pick<AxiosResponse<Buffer>, 'status' | 'headers' | 'data'>

/** The answer ended early, or is too long to be read. */
class UnreadableAnswerError extends Error {}

/** The gateway has no room for the response at the moment. */
class NoRoomError extends Error {}

/** Asks nodes and services how they are. Never follows redirects, never reads more than 2 MB. */
export class Prober {
  readonly #options: ProberOptions
  readonly #polls: Polls
  /** Services that want their key as `x-api-key`. */
  readonly #plainKeys = new WeakSet<TrackedNode>()

  constructor(options: ProberOptions) {
    this.#options = options
    this.#polls = new Polls(options.proxies)
  }

  async probe(node: TrackedNode): Promise<ProbeResult> {
    const memory = this.#options.memory?.openOwn('polls')
    try {
      return node.isInfernet ? await this.#askInfo(node, memory) : await this.#askModels(node, memory)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (isExhausted(error) || error instanceof NoRoomError) return { outcome: 'unasked', reason: reasonOf(error) }
      // An answer that is nonsense, too long or broken off shows all the same that somebody is there.
      const answered = error instanceof InfoShapeError || error instanceof UnreadableAnswerError
      return { outcome: 'failed', reason: reasonOf(error), refused: code === 'ECONNREFUSED', answered }
    } finally {
      memory?.release()
    }
  }

  /** Whether the node answers a poll, of which nothing else is learnt. */
  async answers(node: TrackedNode): Promise<boolean> {
    const { outcome } = await this.probe(node)
    return outcome !== 'failed' && outcome !== 'unasked'
  }

  /** Whether nothing answers there, not even with an error. What this machine cannot ask counts as there. */
  async isSilent(node: TrackedNode): Promise<boolean> {
    const result = await this.probe(node)
    return result.outcome === 'failed' && !result.answered
  }

  /** Asks a service's engine for its load. Its metrics are at the root of the service, without the prefix of calls. */
  async askLoad(node: TrackedNode): Promise<LoadAnswer> {
    const memory = this.#options.memory?.openOwn('polls')
    try {
      const { status, data } = await this.#get(node, '/metrics', memory, METRICS_HEADERS)
      if (status === 429 || status >= 500) return 'failed'
      return (status === 200 ? await inTurns(engineCountSteps(data)) : undefined) ?? 'none'
    } catch (error) {
      return isExhausted(error) || error instanceof NoRoomError ? 'unasked' : 'failed'
    } finally {
      memory?.release()
    }
  }

  close(): void {
    this.#polls.close()
  }

  async #askInfo(node: TrackedNode, memory: Reservation | undefined): Promise<ProbeResult> {
    const answer = await this.#get(node, '/info', memory)
    const common = commonResult(answer)
    if (common) return common
    return { outcome: 'info', info: await read(answer, infoSteps), headers: answer.headers as RateLimitHeaders }
  }

  async #askModels(node: TrackedNode, memory: Reservation | undefined): Promise<ProbeResult> {
    const { spec } = node
    const { prefix, answer } = await this.#findModels(node, memory)
    // A service whose models its operator names needs no list of its own; that it answers at all is its health.
    if (spec.models && LISTLESS_STATUSES.includes(answer.status)) return withoutList(node, prefix, answer.status)
    const common = commonResult(answer)
    if (common) return common
    node.prefixTrials.close()
    const list = await readModels(answer, node)
    if (list || spec.models) return { outcome: 'models', ...list, prefix }
    return { outcome: 'failed', reason: 'the model list is not {"data":[{"id"}]}', refused: false, answered: true }
  }

  /** Looks for the list at the given prefix, else at `/v1` and then without one. */
  async #findModels(
    node: TrackedNode,
    memory: Reservation | undefined,
  ): Promise<{ readonly prefix: string; readonly answer: Answer }> {
    const given = node.spec.prefix
    const prefix = given ?? '/v1'
    const answer = await this.#getModels(node, `${prefix}/models`, memory)
    if (answer.status !== 404 || given !== undefined) return { prefix, answer }
    return { prefix: '', answer: await this.#getModels(node, '/models', memory) }
  }

  /** A service that refuses its key as `Authorization` gets it as Anthropic's dialect has it, too. */
  async #getModels(node: TrackedNode, path: string, memory: Reservation | undefined): Promise<Answer> {
    const answer = await this.#get(node, path, memory)
    const { apiKey, apiKeyHeader } = node.spec
    if (answer.status !== 401 || apiKey === undefined || apiKeyHeader !== undefined) return answer
    if (this.#plainKeys.has(node)) {
      this.#plainKeys.delete(node)
      return answer
    }
    this.#plainKeys.add(node)
    const second = await this.#get(node, path, memory)
    if (second.status === 401) this.#plainKeys.delete(node)
    return second
  }

  async #get(
    node: TrackedNode,
    path: string,
    memory: Reservation | undefined,
    headers: Readonly<Record<string, string>> = JSON_HEADERS,
  ): Promise<Answer> {
    const timeout = this.#options.timeoutSeconds * 1000
    const { query } = node.spec
    const url = urlOf(node.spec) + path + (query === undefined ? '' : `?${query}`)
    const opened = await this.#polls.get<Readable>(url, {
      headers: { ...headers, ...this.#ownHeaders(node), ...this.#credentials(node) },
      timeout,
      // The client's own time-out covers only parts of a call; this one covers all of it.
      signal: AbortSignal.timeout(timeout),
      responseType: 'stream',
      validateStatus: () => true,
    })
    return { status: opened.status, headers: opened.headers, data: await collected(opened, memory) }
  }

  /** Nodes limit their callers by address; to services an address means nothing. */
  #ownHeaders(node: TrackedNode): Record<string, string> {
    const { via, address } = this.#options.identity
    return node.isInfernet ? { Via: via, 'X-Forwarded-For': address } : { Via: via }
  }

  #credentials(node: TrackedNode): Record<string, string> {
    const keyHeader = keyHeaderOf(node.spec)
    if (!keyHeader) return {}
    const credentials = { [keyHeader[0]]: keyHeader[1] }
    if (!this.#plainKeys.has(node)) return credentials
    return { ...credentials, 'x-api-key': node.spec.apiKey ?? '', 'anthropic-version': ANTHROPIC_VERSION }
  }
}

/** The result for a service that answers and has no list for us: calls must tell its prefix where the answer does not. */
function withoutList(node: TrackedNode, prefix: string, status: number): ProbeResult {
  const { spec, prefixTrials } = node
  // Whoever refuses the key may do so before it looks at the path; after a 404 elsewhere it has looked.
  const isUnknown = status === 404 || ((status === 401 || status === 403) && prefix !== '')
  if (!isUnknown) prefixTrials.close()
  const found = isUnknown ? prefixTrials.guess(spec) : prefix
  if (found !== undefined) return { outcome: 'models', prefix: found }
  return { outcome: 'failed', reason: 'calls are not found (404)', refused: false, answered: true }
}

/**
 * The body of an answer. Not read by axios, which keeps every piece as an object of its own: a node that sends single bytes
 * would fill the memory.
 */
async function collected({ data }: Opened, memory: Reservation | undefined): Promise<Buffer> {
  const body = new Collector(0)
  try {
    for await (const piece of data as AsyncIterable<Buffer>) {
      if (body.size + piece.length > MAX_ANSWER_BYTES) {
        throw new UnreadableAnswerError(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
      }
      if (body.size + piece.length <= ALWAYS_READ_BYTES) {
        memory?.growAnyway(piece.length)
      } else {
        const refusal = memory?.grow(piece.length)
        if (refusal) throw new NoRoomError(refusal.message)
      }
      body.push(piece)
    }
  } catch (error) {
    if (error instanceof UnreadableAnswerError || error instanceof NoRoomError || axios.isCancel(error)) throw error
    throw new UnreadableAnswerError('the answer broke off', { cause: error })
  }
  return body.take()
}

function commonResult(answer: Answer): ProbeResult | undefined {
  if (answer.status === 429) return { outcome: 'pushback', headers: answer.headers as RateLimitHeaders }
  if (answer.status === 200) return undefined
  return { outcome: 'failed', reason: `answered ${answer.status}`, refused: false, answered: true }
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Reads an answer in slices: two megabytes take longer than others should wait. */
async function read<T>({ data }: Answer, steps: (body: Buffer) => Steps<T>): Promise<T> {
  const body = data.subarray(0, 3).equals(BYTE_ORDER_MARK) ? data.subarray(3) : data
  try {
    return await inTurns(steps(body))
  } catch (error) {
    if (error instanceof InfoShapeError) throw error
    throw new InfoShapeError('the answer is not JSON')
  }
}

/** A service whose models its operator names need not have a list that can be read. */
async function readModels(answer: Answer, node: TrackedNode): Promise<ModelList | undefined> {
  try {
    return await read(answer, (body) => modelSteps(body, node.entryDefaults))
  } catch (error) {
    if (node.spec.models && error instanceof InfoShapeError) return undefined
    throw error
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_CANCELED' || code === 'ECONNABORTED' || code === 'ETIMEDOUT') return 'no answer in time'
  if (code === 'ECONNREFUSED') return 'connection refused'
  if (error instanceof InfoShapeError) return `not the expected answer: ${message}`
  return code ?? message
}
