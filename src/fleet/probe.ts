import axios, { AxiosError, type AxiosResponse } from 'axios'
import http from 'node:http'
import https from 'node:https'
import { urlOf } from './address.ts'
import { isExhausted } from './exhausted.ts'
import { InfoShapeError, infoSteps, type LeftOut, type NodeInfo } from './info.ts'
import { modelSteps } from './modelList.ts'
import type { TrackedNode } from './node.ts'
import { inTurns, type Steps } from '../turns.ts'

const MAX_ANSWER_BYTES = 2_000_000
/** A node that asks for more patience is asked again after this all the same, seconds; it also keeps timers in their range. */
const MAX_RETRY_AFTER_SECONDS = 3600
/** A node closes idle connections after 5 s; ours go first, so that none is used while it closes. */
const IDLE_SOCKET_MS = 4000
/** What a service without a list of models, or with one that is not for everybody, says where others have theirs. */
const LISTLESS_STATUSES: readonly number[] = [401, 403, 404, 405, 501]

/** What one poll found. */
export type ProbeResult =
  | { readonly outcome: 'info'; readonly info: NodeInfo; readonly rateLimitRemaining: number | undefined }
  | {
      readonly outcome: 'models'
      readonly models: readonly string[]
      readonly leftOut?: LeftOut | undefined
      readonly prefix: string
    }
  | { readonly outcome: 'pushback'; readonly retryAfterSeconds: number }
  /** Nobody could be asked, for want of something here; says nothing of the node. */
  | { readonly outcome: 'unasked'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string; readonly refused: boolean; readonly answered: boolean }

/** Nothing came back: neither an answer nor a refusal. */
export function isSilence(result: ProbeResult): boolean {
  return result.outcome === 'failed' && !result.refused && !result.answered
}

export interface ProberOptions {
  /** Most time one poll may take, seconds. */
  readonly timeoutSeconds: number
  /** `Via` value by which a gateway that polls itself is told. */
  readonly via: string
}

/** Asks nodes and services how they are. Never follows redirects, never reads more than 2 MB. */
export class Prober {
  readonly #options: ProberOptions
  readonly #httpAgent = new http.Agent({ keepAlive: true, timeout: IDLE_SOCKET_MS })
  readonly #httpsAgent = new https.Agent({ keepAlive: true, timeout: IDLE_SOCKET_MS })

  constructor(options: ProberOptions) {
    this.#options = options
  }

  async probe(node: TrackedNode): Promise<ProbeResult> {
    try {
      return node.isInfernet ? await this.#askInfo(node) : await this.#askModels(node)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (isExhausted(error)) return { outcome: 'unasked', reason: reasonOf(error) }
      // An answer that is nonsense, too long or broken off shows all the same that somebody is there.
      const answered = error instanceof InfoShapeError || code === AxiosError.ERR_BAD_RESPONSE
      return { outcome: 'failed', reason: reasonOf(error), refused: code === 'ECONNREFUSED', answered }
    }
  }

  close(): void {
    this.#httpAgent.destroy()
    this.#httpsAgent.destroy()
  }

  async #askInfo(node: TrackedNode): Promise<ProbeResult> {
    const answer = await this.#get(node, '/info')
    const common = commonResult(answer)
    if (common) return common
    return { outcome: 'info', info: await read(answer, infoSteps), rateLimitRemaining: remaining(answer) }
  }

  async #askModels(node: TrackedNode): Promise<ProbeResult> {
    let prefix = '/v1'
    let answer = await this.#get(node, '/v1/models')
    if (answer.status === 404) {
      prefix = ''
      answer = await this.#get(node, '/models')
    }
    // A service whose models its operator names needs no list of its own; that it answers at all is its health.
    if (node.spec.models && LISTLESS_STATUSES.includes(answer.status)) {
      return { outcome: 'models', models: node.spec.models, prefix: answer.status === 404 ? '/v1' : prefix }
    }
    const common = commonResult(answer)
    if (common) return common
    if (node.spec.models) return { outcome: 'models', models: node.spec.models, prefix }
    const list = await read(answer, modelSteps)
    if (list) return { outcome: 'models', ...list, prefix }
    return { outcome: 'failed', reason: 'the model list is not {"data":[{"id"}]}', refused: false, answered: true }
  }

  #get(node: TrackedNode, path: string): Promise<AxiosResponse<Buffer>> {
    const timeout = this.#options.timeoutSeconds * 1000
    const { apiKey } = node.spec
    return axios.get<Buffer>(urlOf(node.spec) + path, {
      headers: {
        Accept: 'application/json',
        Via: this.#options.via,
        ...(apiKey && { Authorization: `Bearer ${apiKey}` }),
      },
      httpAgent: this.#httpAgent,
      httpsAgent: this.#httpsAgent,
      timeout,
      // The client's own time-out covers only parts of a call; this one covers all of it.
      signal: AbortSignal.timeout(timeout),
      maxRedirects: 0,
      maxContentLength: MAX_ANSWER_BYTES,
      responseType: 'arraybuffer',
      validateStatus: () => true,
      proxy: false,
    })
  }
}

function commonResult(answer: AxiosResponse<Buffer>): ProbeResult | undefined {
  if (answer.status === 429) {
    const seconds = Number(answer.headers['retry-after'])
    const retryAfterSeconds = Number.isFinite(seconds) ? Math.min(Math.max(seconds, 1), MAX_RETRY_AFTER_SECONDS) : 1
    return { outcome: 'pushback', retryAfterSeconds }
  }
  if (answer.status === 200) return undefined
  return { outcome: 'failed', reason: `answered ${answer.status}`, refused: false, answered: true }
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Reads an answer in slices: two megabytes take longer than others should wait. */
async function read<T>({ data }: AxiosResponse<Buffer>, steps: (body: Buffer) => Steps<T>): Promise<T> {
  const body = data.subarray(0, 3).equals(BYTE_ORDER_MARK) ? data.subarray(3) : data
  try {
    return await inTurns(steps(body))
  } catch (error) {
    if (error instanceof InfoShapeError) throw error
    throw new InfoShapeError('the answer is not JSON')
  }
}

function remaining(answer: AxiosResponse<Buffer>): number | undefined {
  const value = Number(answer.headers['ratelimit-remaining'] ?? NaN)
  return Number.isFinite(value) ? value : undefined
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_CANCELED' || code === 'ECONNABORTED' || code === 'ETIMEDOUT') return 'no answer in time'
  if (code === 'ECONNREFUSED') return 'connection refused'
  if (code === AxiosError.ERR_BAD_RESPONSE) {
    return (error as AxiosError).response
      ? 'the answer broke off'
      : `the answer is longer than ${MAX_ANSWER_BYTES} bytes`
  }
  if (error instanceof InfoShapeError) return `not the expected answer: ${message}`
  return code ?? message
}
