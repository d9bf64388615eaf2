import type { BlockChain } from './blockChain.ts'
import { BLOCK_TOKENS, prefillMs, stepMs, tokenMs, type Engine } from './options.ts'
import type { PrefixCache } from './prefixCache.ts'

/** A request as the engine sees it. */
export interface Job {
  readonly prompt: BlockChain
  readonly outputTokens: number
  /** What it will have said, after the prompt. */
  readonly answer: string
  /** Prompt tokens that were cached; known from the beginning of its prefill. */
  cachedTokens: number
  onFirstToken(): void
  onEnd(): void
}

interface Running {
  readonly job: Job
  /** Tokens said by a request that has run since the start, when this one will have said all of its own. */
  readonly endsAt: number
}

/** What an engine has done so far. */
export interface BatchStats {
  requests: number
  ended: number
  aborted: number
  promptTokens: number
  cachedTokens: number
  outputTokens: number
  /** Simulated ms of work: prefill as it took, tokens at what they take in a full batch. Over the time that passed: how busy it is. */
  workMs: number
  /** Simulated ms times requests running, and waiting. */
  runningMs: number
  waitingMs: number
  mostWaiting: number
}

const noStats = (): BatchStats => ({
  ...{ requests: 0, ended: 0, aborted: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 },
  ...{ workMs: 0, runningMs: 0, waitingMs: 0, mostWaiting: 0 },
})

/**
 * Continuous batching in simulated time: at most `slots` requests run, the others wait in order. A prompt's prefill holds up all
 * that run; between prefills each running request says one token a step. Nothing happens by itself: `advance` lets everything
 * happen that was due by then, in order and at its own time.
 */
export class Batch {
  readonly stats: BatchStats = noStats()
  readonly #engine: Engine
  readonly #cache: PrefixCache
  #queue: Job[] = []
  #prefill: { readonly job: Job; readonly endsAt: number } | undefined
  #running: Running[] = []
  #now = 0
  /** Tokens that a request would have said that has run since the start. */
  #said = 0

  constructor(engine: Engine, cache: PrefixCache) {
    this.#engine = engine
    this.#cache = cache
  }

  get running(): number {
    return this.#running.length + (this.#prefill ? 1 : 0)
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** When something is due next, simulated ms; `undefined` where nothing runs. */
  get dueAt(): number | undefined {
    if (this.#prefill) return this.#prefill.endsAt
    const next = this.#next()
    return next && this.#now + (next.endsAt - this.#said) * this.#stepMs()
  }

  /** Takes a request. `now` in simulated ms, as everywhere here. */
  submit(job: Job, now: number): void {
    this.advance(now)
    this.stats.requests++
    this.#queue.push(job)
    this.#startNext()
    this.stats.mostWaiting = Math.max(this.stats.mostWaiting, this.#queue.length)
  }

  /** Forgets a request whose client has left. */
  abort(job: Job, now: number): void {
    this.advance(now)
    const before = this.running + this.waiting
    this.#queue = this.#queue.filter((queued) => queued !== job)
    this.#running = this.#running.filter((running) => running.job !== job)
    if (this.#prefill?.job === job) this.#prefill = undefined
    if (this.running + this.waiting === before) return
    this.stats.aborted++
    this.#startNext()
  }

  /** Forgets all requests and all that was done. */
  clear(): void {
    this.#queue = []
    this.#running = []
    this.#prefill = undefined
    Object.assign(this.stats, noStats())
  }

  advance(now: number): void {
    for (let due = this.dueAt; due !== undefined && due <= now; due = this.dueAt) {
      this.#pass(due)
      if (this.#prefill) this.#endPrefill(this.#prefill.job)
      else this.#end(this.#next()!)
      this.#startNext()
    }
    this.#pass(now)
  }

  /** Lets time pass in which nothing is due. */
  #pass(now: number): void {
    const ms = Math.max(0, now - this.#now)
    this.stats.runningMs += ms * this.running
    this.stats.waitingMs += ms * this.waiting
    if (this.#prefill) this.stats.workMs += ms
    else if (this.#running.length > 0) {
      const steps = ms / this.#stepMs()
      this.#said += steps
      this.stats.workMs += (steps * this.#running.length * tokenMs(this.#engine)) / this.#engine.speed
    }
    this.#now = Math.max(now, this.#now)
  }

  #startNext(): void {
    if (this.#prefill || this.#running.length >= this.#engine.slots) return
    const job = this.#queue.shift()
    if (!job) return
    const { tokens, blocks } = job.prompt
    // The last token is computed in any case: it gives the first one of the answer.
    job.cachedTokens = Math.min(this.#cache.use(blocks) * BLOCK_TOKENS, tokens - 1)
    this.stats.promptTokens += tokens
    this.stats.cachedTokens += job.cachedTokens
    const ms = prefillMs(this.#engine, tokens - job.cachedTokens) / this.#engine.speed
    this.#prefill = { job, endsAt: this.#now + ms }
  }

  #endPrefill(job: Job): void {
    this.#prefill = undefined
    this.#cache.keep(job.prompt.blocks)
    const running = { job, endsAt: this.#said + job.outputTokens - 1 }
    this.#running.push(running)
    job.onFirstToken()
  }

  #end(running: Running): void {
    const { job } = running
    this.#running.splice(this.#running.indexOf(running), 1)
    job.prompt.add(job.answer)
    this.#cache.keep(job.prompt.blocks)
    this.stats.ended++
    this.stats.outputTokens += job.outputTokens
    job.onEnd()
  }

  #next(): Running | undefined {
    let next: Running | undefined
    for (const running of this.#running) if (!next || running.endsAt < next.endsAt) next = running
    return next
  }

  #stepMs(): number {
    return stepMs(this.#engine, this.#running.length) / this.#engine.speed
  }
}
