import type { Events } from '../routingSimulation/events.ts'
import { EngineCache } from './engineCache.ts'
import type { Passage } from './passage.ts'

export interface EngineOptions {
  /** How many times as long prefills take as usual. */
  readonly prefillSlowness: number
  /** How many times as long decode steps take as usual. */
  readonly decodeSlowness: number
  /** Characters that the prefix cache holds. */
  readonly cacheCharacters: number
}

/** A request at an engine, and what happens to it. */
export interface EngineRequest {
  readonly prompt: Passage
  /** The prompt and its answer. */
  readonly reply: Passage
  readonly replyTokens: number
  /** The prefill is done. */
  firstToken(warmCharacters: number): void
  /** The answer is complete. */
  ended(): void
  /** The engine died. */
  failed(): void
}

/** A request that is being decoded. */
interface Running {
  readonly request: EngineRequest
  /** The count of decode steps at which it is complete. */
  readonly lastStep: number
}

/** Seconds of prefill for each uncached character, usually: about 8,000 tokens a second. */
export const PREFILL_SECONDS_PER_CHARACTER = 30e-6
/** Seconds of each prefill that do not depend on its size. */
const PREFILL_OVERHEAD_SECONDS = 0.005
/** Requests that are decoded at once. */
const CONCURRENCY = 64
/** The last token of a prompt is always computed. */
const LEAST_UNCACHED = 4

/** Seconds of a decode step, which gives each of `batch` requests one token. */
export function stepSeconds(batch: number): number {
  return 0.015 * (1 + batch / 64)
}

/**
 * An inference engine with continuous batching: prefills run one after another, in the order of arrival, and hold up everything
 * that is being decoded. Steps are continuous, so that an event is needed only where the batch changes.
 */
export class Engine {
  isUp = true
  readonly prefillSlowness: number
  readonly decodeSlowness: number
  readonly cache: EngineCache
  readonly #events: Events
  readonly #waiting: EngineRequest[] = []
  #prefilling: { readonly request: EngineRequest; readonly warm: number } | undefined
  /** In the order in which they end. */
  readonly #running: Running[] = []
  /** Decode steps so far, up to `#since`. */
  #steps = 0
  #since = 0
  /** Events of an earlier generation mean nothing any more. */
  #generation = 0

  constructor(events: Events, { prefillSlowness, decodeSlowness, cacheCharacters }: EngineOptions) {
    this.#events = events
    this.prefillSlowness = prefillSlowness
    this.decodeSlowness = decodeSlowness
    this.cache = new EngineCache(cacheCharacters)
  }

  /** Requests that are decoded or prefilled, as an engine's own metrics count them. */
  get running(): number {
    return this.#running.length + (this.#prefilling ? 1 : 0)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Uncached characters of the requests that have no first token yet. */
  get uncachedAhead(): number {
    const waiting = this.#waiting.reduce((sum, { prompt }) => sum + this.uncachedCharacters(prompt), 0)
    const { request, warm } = this.#prefilling ?? { request: undefined, warm: 0 }
    return waiting + (request ? request.prompt.end - warm : 0)
  }

  uncachedCharacters(prompt: Passage): number {
    return Math.max(LEAST_UNCACHED, prompt.end - this.cache.warmCharacters(prompt))
  }

  submit(request: EngineRequest): void {
    this.#waiting.push(request)
    if (this.#prefilling === undefined) this.#goOn()
  }

  /** The client of a request has left. */
  cancel(request: EngineRequest): void {
    const waits = this.#waiting.indexOf(request)
    if (waits >= 0) {
      this.#waiting.splice(waits, 1)
      return
    }
    this.#settle()
    const runs = this.#running.findIndex((running) => running.request === request)
    if (runs >= 0) this.#running.splice(runs, 1)
    if (this.#prefilling?.request === request) this.#prefilling = undefined
    if (this.#prefilling === undefined) this.#goOn()
  }

  /** Loses its cache and all requests. */
  die(): void {
    const lost = [...this.#waiting, ...this.#running.map(({ request }) => request)]
    if (this.#prefilling) lost.push(this.#prefilling.request)
    this.isUp = false
    this.#generation++
    this.#waiting.length = 0
    this.#running.length = 0
    this.#prefilling = undefined
    this.cache.clear()
    for (const request of lost) request.failed()
  }

  restart(): void {
    this.isUp = true
    this.#since = this.#events.now
  }

  /** Starts what is due: the next prefill, else decoding until the next answer is complete. */
  #goOn(): void {
    this.#settle()
    const next = this.#running.length < CONCURRENCY ? this.#waiting.shift() : undefined
    if (next) this.#prefill(next)
    else if (this.#running.length > 0) this.#decode(this.#running[0]!)
    else this.#generation++
  }

  #prefill(request: EngineRequest): void {
    const uncached = this.uncachedCharacters(request.prompt)
    const seconds = PREFILL_OVERHEAD_SECONDS + uncached * PREFILL_SECONDS_PER_CHARACTER
    const warm = request.prompt.end - uncached
    this.#prefilling = { request, warm }
    this.#after(this.prefillSlowness * seconds, () => {
      this.#since = this.#events.now
      this.#prefilling = undefined
      this.cache.keep(request.prompt)
      this.#run({ request, lastStep: this.#steps + request.replyTokens })
      request.firstToken(warm)
      if (this.#prefilling === undefined) this.#goOn()
    })
  }

  #run(running: Running): void {
    let place = this.#running.length
    while (place > 0 && this.#running[place - 1]!.lastStep > running.lastStep) place--
    this.#running.splice(place, 0, running)
  }

  #decode({ request, lastStep }: Running): void {
    const seconds = (lastStep - this.#steps) * this.decodeSlowness * stepSeconds(this.#running.length)
    this.#after(seconds, () => {
      this.#settle()
      this.#steps = Math.max(this.#steps, lastStep)
      this.#running.shift()
      this.cache.keep(request.reply)
      request.ended()
      if (this.#prefilling === undefined) this.#goOn()
    })
  }

  /** Counts the steps since the last change. None were made during a prefill, at whose end `#since` begins anew. */
  #settle(): void {
    const { now } = this.#events
    if (this.#prefilling === undefined && this.#running.length > 0) {
      this.#steps += (now - this.#since) / (this.decodeSlowness * stepSeconds(this.#running.length))
    }
    this.#since = now
  }

  #after(seconds: number, run: () => void): void {
    const generation = ++this.#generation
    this.#events.after(Math.max(0, seconds), () => {
      if (generation === this.#generation) run()
    })
  }
}
