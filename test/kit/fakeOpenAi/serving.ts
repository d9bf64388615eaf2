/** Serves requests in their places of a queue, unary or as events. */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { Exchange } from '../fakeServer/exchange.ts'
import type { Prepared } from '../fakeServer/misbehave.ts'
import { headerLines } from '../fakeServer/records.ts'
import { WorkQueue } from '../fakeServer/workQueue.ts'
import { belowPrefix, readAsk } from './ask.ts'
import type { Ask, Script } from './ask.ts'
import { errorEvent, eventPlan, isStreamable } from './events.ts'
import type { ServiceEndpoint, ServiceSettings } from './options.ts'
import { metricsReply } from './metrics.ts'
import { failure, modelList, unaryReply } from './replies.ts'
import type { Reply } from './replies.ts'

export class Serving {
  readonly queue: WorkQueue
  readonly #settings: ServiceSettings
  activeStreams = 0

  constructor(settings: ServiceSettings) {
    this.#settings = settings
    this.queue = new WorkQueue(settings.concurrency)
  }

  /** Reads the request; what it asks for is done as it is delivered. */
  prepare(exchange: Exchange, endpoint: ServiceEndpoint | undefined, body: Buffer): Prepared {
    const todo = this.#judge(exchange, endpoint, body)
    const ask = 'status' in todo ? undefined : todo
    const isStream = ask !== undefined && ask.isStream && isStreamable(ask)
    const unary = 'status' in todo ? todo : isStream ? undefined : unaryReply(todo)
    return {
      deliver: () => {
        if (!ask) write(exchange, unary!)
        else if (isStream) this.#run(exchange, ask, (gone) => this.#stream(exchange, ask, gone))
        else this.#run(exchange, ask, (gone) => this.#answer(exchange, ask, unary!, gone))
      },
      // A service keeps nothing of a request that nobody hears.
      runUnheard: () => undefined,
      writeHead: (length) => writeHead(exchange, unary ?? { status: 200, contentType: EVENTS }, length),
      get body() {
        return unary ? unary.body.toString('latin1') : eventPlan(ask!).before.join('')
      },
      isStream,
      rewrite: (script) => {
        if (ask) Object.assign(ask.script, script)
      },
    }
  }

  #judge({ request }: Exchange, endpoint: ServiceEndpoint | undefined, body: Buffer): Ask | Reply {
    const { method, url = '/', rawHeaders } = request
    const { apiKey, hasMetrics, listsModels, models, prefix } = this.#settings
    if (apiKey !== undefined && headerLines(rawHeaders, 'authorization')[0] !== `Bearer ${apiKey}`) {
      return failure(401, 'Incorrect API key provided', 'invalid_api_key')
    }
    if (!endpoint || (endpoint === 'models' && !listsModels) || (endpoint === 'metrics' && !hasMetrics)) {
      return failure(404, `Unknown path ${url}`)
    }
    if (endpoint === 'metrics') return this.#metrics()
    if (endpoint === 'models') return method === 'POST' ? failure(405, 'Method Not Allowed') : modelList(models)
    if (method !== 'POST') return failure(405, 'Method Not Allowed')
    try {
      const ask = readAsk(endpoint, belowPrefix(url, prefix)!, rawHeaders, body)
      if (ask.model !== undefined && models.includes(ask.model)) return ask
      return failure(404, `The model '${ask.model}' does not exist`, 'model_not_found')
    } catch {
      return failure(400, 'The body is no JSON')
    }
  }

  #metrics(): Reply {
    const { models, others } = this.#settings
    const { running, waiting } = this.queue
    return metricsReply(models[0] ?? '', { running: running + others.running, waiting: waiting + others.waiting })
  }

  /** Waits for a place, does the work there, and gives the place back when it is done or the client has left. */
  #run(exchange: Exchange, ask: Ask, work: (gone: AbortSignal) => Promise<void>): void {
    const gone = new AbortController()
    let leave = (): void => undefined
    exchange.onLeft = () => {
      gone.abort()
      leave()
    }
    leave = this.queue.add((release) => {
      const seconds = ask.script.seconds ?? this.#settings.seconds
      pause(seconds * 1000, gone.signal)
        .then(() => work(gone.signal))
        .catch((error: unknown) => {
          if (!gone.signal.aborted) throw error
        })
        .finally(release)
    })
  }

  async #answer(exchange: Exchange, { script }: Ask, unary: Reply, gone: AbortSignal): Promise<void> {
    if (script.dieAfter !== undefined) return exchange.connection.break(script.dieHow ?? 'close')
    if (script.stallAfter !== undefined) return never(gone)
    if (script.failAfter !== undefined) return write(exchange, failure(500, 'the engine failed'))
    write(exchange, unary)
  }

  async #stream(exchange: Exchange, ask: Ask, gone: AbortSignal): Promise<void> {
    this.activeStreams++
    try {
      const isWhole = await this.#events(exchange, ask, gone)
      if (!isWhole) return
      exchange.over()
      exchange.response.end()
    } finally {
      this.activeStreams--
    }
  }

  /** Resolves with false if the connection was broken. */
  async #events(exchange: Exchange, ask: Ask, gone: AbortSignal): Promise<boolean> {
    const { before, content, after } = eventPlan(ask)
    const { script } = ask
    const pieceMs = script.pieceMs ?? this.#settings.pieceMs
    writeHead(exchange, { status: 200, contentType: EVENTS }, undefined)
    const say = async (event: string): Promise<void> => {
      await writeAll(exchange, event)
      gone.throwIfAborted()
    }
    for (const event of before) await say(event)
    for (let i = 0; ; i++) {
      if (i === script.dieAfter) return await breakOff(exchange, script)
      if (i === script.stallAfter) await never(gone)
      if (i === script.failAfter) {
        await say(errorEvent())
        return true
      }
      if (i === content.length) break
      await pause(pieceMs, gone)
      await say(content[i]!)
    }
    for (const event of after) await say(event)
    return true
  }
}

const EVENTS = 'text/event-stream; charset=utf-8'

function write(exchange: Exchange, { status, contentType, body }: Reply): void {
  exchange.over()
  writeHead(exchange, { status, contentType }, body.length)
  exchange.response.end(body)
}

/** As uvicorn writes it. */
function writeHead(
  { response }: Exchange,
  { status, contentType }: { status: number; contentType: string },
  length: number | undefined,
): void {
  const headers: Record<string, string> = { server: 'uvicorn', 'content-type': contentType }
  if (length !== undefined) headers['content-length'] = String(length)
  else headers['cache-control'] = 'no-cache'
  response.writeHead(status, headers)
}

/** If the client leaves, a full connection never drains: the promise is left alone. */
function writeAll({ response }: Exchange, event: string): Promise<void> | undefined {
  if (response.write(event)) return undefined
  return new Promise((resolve) => response.once('drain', resolve))
}

async function breakOff(exchange: Exchange, script: Script): Promise<false> {
  // The last event is to leave before.
  await turn()
  exchange.connection.break(script.dieHow ?? 'close')
  return false
}

/** Even without a pause, each event gets a turn, and thereby a write, of its own. */
async function pause(ms: number, gone: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal: gone })
  else await turn(undefined, { signal: gone })
}

function never(gone: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    gone.addEventListener('abort', () => reject(new Error('the client left')), { once: true })
  })
}
