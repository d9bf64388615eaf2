/** Carries requests to the rules and answers back. */
import type { Exchange } from '../fakeServer/exchange.ts'
import { misbehave } from '../fakeServer/misbehave.ts'
import type { Prepared } from '../fakeServer/misbehave.ts'
import type { Act } from '../fakeServer/misbehaviour.ts'
import { plainAddress } from '../fakeServer/serverCore.ts'
import { writeHead } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Incoming, Rules } from './endpoints.ts'
import type { Endpoint, Settings } from './options.ts'
import type { Verdict } from './rateLimit.ts'
import type { JobSubmission } from './submission.ts'

const STREAM_TYPE = 'text/html; charset=utf-8'

export class NodeServer {
  readonly #settings: Settings
  readonly #rules: Rules

  constructor(settings: Settings, rules: Rules) {
    this.#settings = settings
    this.#rules = rules
  }

  serve(exchange: Exchange, endpoint: Endpoint | undefined, body: Buffer, act: Act | undefined): void {
    const { method = 'GET', url = '/', rawHeaders, socket } = exchange.request
    this.#countDown(exchange)
    const { forwardedFor, contentType } = neededHeaders(rawHeaders)
    const ip = plainAddress(socket.remoteAddress)
    const incoming = { method, ...splitUrl(url), ip, forwardedFor, contentType, body }
    if (act) misbehave(exchange, act, () => this.#prepare(exchange, endpoint, incoming))
    else this.#deliver(exchange, ...this.#perform(endpoint, incoming))
  }

  #perform(endpoint: Endpoint | undefined, incoming: Incoming): [Answer | JobSubmission, Verdict | undefined] {
    const verdict = this.#rules.verdict(endpoint, incoming)
    return [this.#rules.answer(endpoint, incoming, verdict), verdict]
  }

  #prepare(exchange: Exchange, endpoint: Endpoint | undefined, incoming: Incoming): Prepared {
    const [answer, verdict] = this.#perform(endpoint, incoming)
    const job = 'kind' in answer ? answer : undefined
    const head = 'kind' in answer ? { status: 200, contentType: STREAM_TYPE } : answer
    return {
      deliver: () => this.#deliver(exchange, answer, verdict),
      runUnheard: () => {
        if (job) this.#rules.work.runStream(job, DEAF)
      },
      writeHead: (length) => writeHead(exchange.response, head, verdict, length),
      body: 'kind' in answer ? `${answer.id}\n` : answer.body,
      isStream: job !== undefined,
      rewrite: (script) => {
        if (job) Object.assign(job.script, script)
      },
    }
  }

  #deliver(exchange: Exchange, answer: Answer | JobSubmission, verdict: Verdict | undefined): void {
    if ('kind' in answer) return this.#stream(exchange, answer, verdict)
    exchange.over()
    writeHead(exchange.response, answer, verdict, answer.body.length)
    exchange.response.end(answer.body, 'latin1')
  }

  #stream(exchange: Exchange, job: JobSubmission, verdict: Verdict | undefined): void {
    const { response, connection } = exchange
    writeHead(response, { status: 200, contentType: STREAM_TYPE }, verdict, undefined)
    // The id line is on its way before any container is asked.
    response.write(`${job.id}\n`, 'latin1')
    // Without its store the real one fails here.
    if (this.#rules.isStoreDown) return connection.break('close')
    const { left } = this.#rules.work.runStream(job, {
      write: (bytes) => {
        if (response.write(bytes, 'latin1')) return undefined
        return new Promise((resolve) => response.once('drain', resolve))
      },
      end: () => {
        exchange.over()
        response.end()
      },
      break: () => connection.break(job.script.dieHow === 'reset' ? 'reset' : 'close'),
    })
    exchange.onLeft = left
  }

  /** A real node closes a connection, unannounced, after the answer to so many requests. */
  #countDown({ connection, response, nth }: Exchange): void {
    const { requestsPerConnection } = this.#settings
    if (requestsPerConnection <= 0 || nth < requestsPerConnection) return
    response.on('finish', () => connection.socket.end())
  }
}

/** Where a stream goes that nobody hears. */
const DEAF = { write: () => undefined, end: () => undefined, break: () => undefined }

/** The path with double slashes made single, as the node's router sees it, and the query. */
export function splitUrl(url: string): { path: string; query: string } {
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = mark === -1 ? '' : url.slice(mark + 1)
  return { path: path.includes('//') ? path.replace(/\/{2,}/g, '/') : path, query }
}

/** Reading them from the raw list is cheaper than having all headers parsed. */
function neededHeaders(raw: readonly string[]): { forwardedFor: string | undefined; contentType: string | undefined } {
  let forwardedFor: string | undefined
  let contentType: string | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const { length } = raw[i]!
    // Of several lines the first counts.
    if (length === 15 && raw[i]!.toLowerCase() === 'x-forwarded-for') forwardedFor ??= raw[i + 1]
    else if (length === 12 && raw[i]!.toLowerCase() === 'content-type') contentType ??= raw[i + 1]
  }
  return { forwardedFor, contentType }
}
