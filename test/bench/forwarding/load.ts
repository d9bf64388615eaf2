import { poissonArrivals, type ArrivalRate } from './client/arrivals.ts'
import { addressOf, Connection, type Answered, type ServerAddress } from './client/connection.ts'
import { ConnectionPool } from './client/pool.ts'
import { postRequest } from './client/requests.ts'

/** What is sent. */
export interface Source {
  readonly address: ServerAddress
  /** The next request. */
  readonly next: () => Buffer
  /** Receives the body of each answer. */
  readonly heard?: (body: Buffer) => void
}

/** When to stop: after so many seconds or so many requests, whichever comes first. */
export interface LoadEnd {
  readonly seconds?: number
  readonly requests?: number
}

export interface LoadResult {
  readonly requests: number
  /** Answers other than 200, and connections that broke. */
  readonly errors: number
  readonly seconds: number
  /** Of each request, ms, in no order. */
  readonly latenciesMs: readonly number[]
}

/** One body, posted over and over. */
export function posting(url: string, body: string): Source {
  const request = postRequest(url, body)
  return { address: addressOf(url), next: () => request }
}

/** Full load: each of the connections sends again as soon as its answer is complete. */
export async function load(source: Source, connections: number, end: LoadEnd): Promise<LoadResult> {
  const { seconds = Infinity, requests = Infinity } = end
  const run = new Run(source)
  const endsAt = performance.now() + seconds * 1000
  let left = requests
  const mayGoOn = (): boolean => performance.now() < endsAt && left-- > 0
  await Promise.all(Array.from({ length: connections }, () => askOverAndOver(source, run, mayGoOn)))
  return run.result()
}

/** Requests come when they come, whatever has become of those before. */
export async function openLoad(source: Source, rate: ArrivalRate): Promise<LoadResult> {
  const run = new Run(source)
  const pool = new ConnectionPool(source.address)
  await pool.open(POOLED)
  const allAnswered = Promise.withResolvers<void>()
  let underWay = 1
  const settled = (): void => {
    if (--underWay === 0) allAnswered.resolve()
  }
  const answered: Answered = (status, body, ms) => {
    run.answered(status, body, ms)
    settled()
  }
  await poissonArrivals(rate, () => {
    underWay++
    pool.ask(source.next(), answered)
  })
  settled()
  await allAnswered.promise
  pool.close()
  return run.result()
}

/** Connections that are there before the first request. */
const POOLED = 32
/** A broken connection is opened again, but not for ever. */
const MOST_BROKEN = 1000

function askOverAndOver(source: Source, run: Run, mayGoOn: () => boolean): Promise<void> {
  const done = Promise.withResolvers<void>()
  const connection = new Connection(source.address)
  const ask = (): void => {
    if (run.broken > MOST_BROKEN) done.reject(new Error('too many connections broke'))
    else if (mayGoOn()) connection.ask(source.next(), answered)
    else {
      connection.close()
      done.resolve()
    }
  }
  const answered: Answered = (status, body, ms) => {
    run.answered(status, body, ms)
    ask()
  }
  void connection.open().then(ask, done.reject)
  return done.promise
}

/** What the connections of one run share. */
class Run {
  readonly #startedAt = performance.now()
  readonly #latenciesMs: number[] = []
  readonly #heard: ((body: Buffer) => void) | undefined
  #errors = 0
  broken = 0

  constructor({ heard }: Source) {
    this.#heard = heard
  }

  answered(status: number, body: Buffer, ms: number): void {
    if (status !== 200) this.#errors++
    if (status === 0) {
      this.broken++
      return
    }
    this.#latenciesMs.push(ms)
    this.#heard?.(body)
  }

  result(): LoadResult {
    return {
      requests: this.#latenciesMs.length,
      errors: this.#errors,
      seconds: (performance.now() - this.#startedAt) / 1000,
      latenciesMs: this.#latenciesMs,
    }
  }
}
