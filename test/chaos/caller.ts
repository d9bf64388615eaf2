/** A client that submits jobs, one after the other or in batches, and now and then asks what became of them, ended ones too. */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { jobOf } from '../kit/builders/jobs.ts'
import { request } from '../kit/http.ts'
import type { Answer, RequestOptions } from '../kit/http.ts'
import { exponential } from '../kit/routingSimulation/random.ts'
import { CONTAINER } from './world.ts'

/** A job that the gateway has acknowledged. */
export interface Acknowledged {
  readonly id: string
  /** What makes its input, and so its result, unlike all others. */
  readonly token: string
  /** The entry, as text, that first told of its end. */
  end?: string
}

/** One in so many submissions is a batch of so many jobs. */
const BATCH_SHARE = 0.03
const BATCH_SIZE = 10
/** One that gets no answer does not keep its caller from going on. */
const REQUESTS_AT_ONCE = 3
const POLL_EVERY_MS = 1500
const IDS_PER_POLL = 100
/** Ended jobs that are asked for again with each poll. */
const ENDED_PER_POLL = 20
const TIMEOUT_MS = 15_000
/** With a key a client sends again what may have been lost. */
const MOST_TRIES = 4
/** How long a client waits that got no answer: the gateway is away for a moment. */
const PAUSE_MS = 500
/** Whoever has not submitted all jobs after so many times the time for it leaves it at that. */
const MOST_TIMES_LATE = 1.25

export interface CallerOptions {
  /** Where the next request goes. */
  readonly url: () => string
  readonly random: () => number
  /** Whether what is told at present is not final. */
  readonly isDoubtful: () => boolean
}

export class Caller {
  readonly address: string
  readonly acknowledged: Acknowledged[] = []
  /** Submissions that were not acknowledged, by what came instead: a status, or `no answer`. */
  readonly refused = new Map<string, number>()
  /** What should never be. */
  readonly violations: string[] = []
  /** Every submission has an Idempotency-Key and is repeated when it remains without an answer. */
  readonly #hasKeys: boolean
  readonly #url: () => string
  readonly #random: () => number
  readonly #isDoubtful: () => boolean
  readonly #agent = new Agent({ keepAlive: true })
  #submitted = 0
  #nextPoll = 0

  constructor(number: number, { url, random, isDoubtful }: CallerOptions) {
    this.address = `127.0.1.${number}`
    this.#hasKeys = number % 2 === 0
    this.#url = url
    this.#random = random
    this.#isDoubtful = isDoubtful
  }

  get submitted(): number {
    return this.#submitted
  }

  /** Submits so many jobs over about so many seconds, by several requests at a time, asking for results meanwhile. */
  async work(jobs: number, seconds: number): Promise<void> {
    const meanGap = (REQUESTS_AT_ONCE * seconds) / (jobs / (1 + BATCH_SHARE * (BATCH_SIZE - 1)))
    const startedAt = performance.now()
    const endsAt = startedAt + seconds * 1000
    const latest = startedAt + MOST_TIMES_LATE * seconds * 1000
    const go = async (): Promise<void> => {
      while (this.#submitted < jobs && performance.now() < latest) {
        const size = this.#random() < BATCH_SHARE ? Math.min(BATCH_SIZE, jobs - this.#submitted) : 1
        await this.#submit(size)
        if (performance.now() >= this.#nextPoll) await this.poll()
        // Whoever has fallen behind, because the gateway was away, makes up for it.
        const shouldTake =
          (REQUESTS_AT_ONCE * (endsAt - performance.now())) / 1000 / Math.max(1, jobs - this.#submitted)
        await sleep(Math.min(exponential(this.#random, meanGap), Math.max(0, 2 * shouldTake)) * 1000)
      }
    }
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, go))
  }

  /** Asks for jobs whose end is not known yet, and for some whose end is. */
  async poll(): Promise<void> {
    this.#nextPoll = performance.now() + POLL_EVERY_MS
    const waiting = this.acknowledged.filter(({ end }) => end === undefined)
    for (let first = 0; first < waiting.length; first += IDS_PER_POLL) {
      if (!(await this.#look(waiting.slice(first, first + IDS_PER_POLL)))) break
    }
    const ended = this.acknowledged.filter(({ end }) => end !== undefined)
    const some = Array.from({ length: Math.min(ENDED_PER_POLL, ended.length) }, () => ended[this.#below(ended.length)]!)
    if (some.length > 0) await this.#look([...new Set(some)])
  }

  /** Notes what is told of these jobs, and what must not be; false where nothing is told. */
  async #look(jobs: readonly Acknowledged[]): Promise<boolean> {
    const before = jobs.map(({ end }) => end)
    const wasDoubtful = this.#isDoubtful()
    const entries = await this.entries(jobs.map(({ id }) => id))
    if (!entries || wasDoubtful || this.#isDoubtful()) return false
    for (const [index, job] of jobs.entries()) {
      const entry = entries.get(job.id)
      const told = entry && JSON.stringify(entry)
      const end = before[index]
      if (!entry) this.violations.push(`${job.id} is not known to its own caller`)
      else if (end !== undefined && end !== told) this.violations.push(`${job.id} changed: ${end}, then ${told}`)
      else if (entry.status !== 'running') job.end ??= told!
    }
    return true
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count)
  }

  /** What the gateway says of these jobs to this caller; `undefined` where it says nothing. */
  async entries(ids: readonly string[]): Promise<Map<string, Entry> | undefined> {
    const answer = await this.#send(`/api/jobs?${ids.map((id) => `id=${id}`).join('&')}`, {})
    if (answer?.status !== 200) return undefined
    return new Map(answer.json<Entry[]>().map((entry) => [entry.id, entry]))
  }

  /** Ids of all that this caller has. */
  async list(): Promise<string[] | undefined> {
    const answer = await this.#send('/api/jobs', {})
    return answer?.status === 200 ? answer.json<string[]>() : undefined
  }

  close(): void {
    this.#agent.destroy()
  }

  async #submit(size: number): Promise<void> {
    const tokens = Array.from({ length: size }, () => `${this.address}/${this.#submitted++}`)
    const jobs = tokens.map((token) => jobOf({ token }, [CONTAINER]))
    const headers = this.#hasKeys ? { 'Idempotency-Key': tokens[0]! } : undefined
    const path = size === 1 ? '/api/jobs' : '/api/jobs/batch'
    const options = { method: 'POST', body: size === 1 ? jobs[0]! : jobs, ...(headers && { headers }) }
    let answer = await this.#send(path, options)
    for (let tries = 1; this.#hasKeys && !answer && tries < MOST_TRIES; tries++) {
      await sleep(PAUSE_MS * tries)
      answer = await this.#send(path, options)
    }
    if (answer?.status !== 200) {
      this.#note(answer ? String(answer.status) : 'no answer', size)
      return sleep(PAUSE_MS)
    }
    const items = size === 1 ? [answer.json<Item>()] : answer.json<Item[]>()
    items.forEach(({ id, error }, index) => {
      if (id === undefined) this.#note(`item: ${error}`, 1)
      else this.acknowledged.push({ id, token: tokens[index]! })
    })
  }

  #note(reason: string, count: number): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + count)
  }

  #send(path: string, options: RequestOptions): Promise<Answer | undefined> {
    const from = { localAddress: this.address, agent: this.#agent, timeoutMs: TIMEOUT_MS }
    return request(this.#url() + path, { ...from, ...options }).catch(() => undefined)
  }
}

type Item = { id?: string; error?: string }

export interface Entry {
  readonly id: string
  readonly status: 'running' | 'success' | 'failed'
  readonly result: { container?: string; output?: unknown; error?: string } | null
}
