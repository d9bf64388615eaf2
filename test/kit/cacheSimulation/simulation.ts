import { Events } from '../routingSimulation/events.ts'
import { seededRandom } from '../routingSimulation/random.ts'
import { AllKnowing, CacheAware, LeastInFlight, PrefixHash } from './contenders.ts'
import { Engine, PREFILL_SECONDS_PER_CHARACTER, stepSeconds, type EngineRequest } from './engine.ts'
import type { Place, Placing, RoutedRequest, Router } from './router.ts'
import { WarmRouter } from './warmRouter.ts'
import { planOf, type Plan, type Session, type Work, type WorkloadName } from './workloads.ts'

export type CachePolicy =
  'ours' | 'ours without the index' | 'least in flight' | 'prefix hash' | 'cache_aware' | 'all-knowing'

export interface CacheScenario {
  readonly workload: WorkloadName
  readonly policy: CachePolicy
  readonly seed: number
  /** Requests in all, about. */
  readonly requests?: number
  readonly engines?: number
  /** How many times as long as usual engines take for prefills, all being alike otherwise; else they differ by 1 to 3 times in all. */
  readonly prefillSlowness?: readonly [least: number, most: number]
  /** Work that arrives, done nothing twice, over what the engines can do. */
  readonly utilisation?: number
  /** Characters that the prefix cache of each engine holds. */
  readonly cacheCharacters?: number
  /** Gateways that know nothing of each other and take turns at random, for the requests of one session too. */
  readonly gateways?: number
  /** Share of the answers that are streamed. */
  readonly streamedShare?: number
  /** Share of the clients that leave within a second or so. */
  readonly leaveShare?: number
  /** The first engine dies in the middle, with all that it has, and is back after so many seconds. */
  readonly restart?: {
    readonly seconds: number
    /** Whether gateways note that its cache is lost. */
    readonly isNoted: boolean
  }
}

export interface CacheResult {
  /** Seconds from arrival to the end of the answer, and to its first token, of the requests that were measured. */
  readonly meanSeconds: number
  readonly meanFirstTokenSeconds: number
  /** Share of the characters of all prompts that were in the cache of the engine. */
  readonly hitRate: number
  readonly requests: number
  /** Requests that neither ended nor were left by their client. */
  readonly unfinished: number
  /** What happens in the half minute after the first engine has come back; undefined where none restarts. */
  readonly atReturn: AtReturn | undefined
}

interface AtReturn {
  /** The most requests there, waiting and running, over the mean of the others' most. */
  readonly pileUp: number
  /** Of the requests that arrive then. */
  readonly meanFirstTokenSeconds: number
}

/** Nothing is measured before this part of the time. */
const WARM_UP_SHARE = 0.25
const POLL_SECONDS = 5
/** How long after its return an engine is watched. */
const RETURN_SECONDS = 30
/** The size of a batch by which the work of decoding is reckoned. */
const USUAL_BATCH = 32

interface Gateway {
  readonly router: Router
  readonly places: readonly Place[]
}

/** Runs of several policies share them. */
const plans = new Map<string, Plan>()

function planned(workload: WorkloadName, seed: number, requests: number): Plan {
  const key = JSON.stringify([workload, seed, requests])
  let plan = plans.get(key)
  if (plan === undefined) plans.set(key, (plan = planOf(workload, seed, requests)))
  return plan
}

/** Simulates inference engines behind gateways. The same scenario gives the same result. */
export function simulateCaches(scenario: CacheScenario): CacheResult {
  return new CacheSimulation(scenario).run()
}

class CacheSimulation {
  readonly #scenario: CacheScenario
  readonly #events = new Events()
  readonly #engines: Engine[]
  readonly #gateways: Gateway[]
  readonly #sessions: readonly Session[]
  /** How long sessions start, seconds. */
  readonly #arrivalSeconds: number
  #measured = 0
  #ended = 0
  #left = 0
  #seconds = 0
  #firstTokenSeconds = 0
  #firstTokens = 0
  #promptCharacters = 0
  #warmCharacters = 0
  #returnedAt = Infinity
  readonly #atReturn = { most: [] as number[], firstTokenSeconds: [] as number[] }

  constructor(scenario: CacheScenario) {
    this.#scenario = scenario
    const { seed, engines = 8, prefillSlowness, cacheCharacters = 1e6, gateways = 1 } = scenario
    const speeds = seededRandom(2 * seed + 1)
    this.#engines = Array.from({ length: engines }, () => {
      const [least, most] = prefillSlowness ?? [1, 3]
      const slowness = least * (most / least) ** speeds()
      const decodeSlowness = prefillSlowness ? 1 : slowness
      return new Engine(this.#events, { prefillSlowness: slowness, decodeSlowness, cacheCharacters })
    })
    const { workload, requests = 1500, utilisation = 0.75 } = scenario
    const { sessions, work } = planned(workload, seed, requests)
    this.#sessions = sessions
    this.#arrivalSeconds = this.#secondsOf(work) / utilisation
    this.#gateways = Array.from({ length: gateways }, (_, gateway) => ({
      router: this.#router(seededRandom(7919 * seed + gateway)),
      places: this.#engines.map((engine, index) => ({ index, engine, own: 0 })),
    }))
  }

  run(): CacheResult {
    const seconds = this.#arrivalSeconds
    for (const session of this.#sessions) {
      this.#events.at(seconds * session.startsAt, () => this.#turn(session, 0))
    }
    if (this.#scenario.restart) this.#events.at(0.5 * seconds, () => this.#die(this.#scenario.restart!))
    this.#pollUntil(seconds)
    this.#events.runUntil(seconds + 3600)
    return this.#result()
  }

  /** How long the engines need for some work together. */
  #secondsOf({ characters, tokens }: Work): number {
    const prefill = characters * PREFILL_SECONDS_PER_CHARACTER
    const decode = (tokens * stepSeconds(USUAL_BATCH)) / USUAL_BATCH
    // What an engine does in a second if all of them are busy with the same mixture of prefills and decoding.
    const shares = this.#engines.map(
      (engine) => 1 / (prefill * engine.prefillSlowness + decode * engine.decodeSlowness),
    )
    return 1 / shares.reduce((sum, share) => sum + share, 0)
  }

  #router(random: () => number): Router {
    const now = (): number => this.#events.now
    switch (this.#scenario.policy) {
      case 'ours':
        return new WarmRouter(random, now, true)
      case 'ours without the index':
        return new WarmRouter(random, now, false)
      case 'least in flight':
        return new LeastInFlight(random)
      case 'prefix hash':
        return new PrefixHash()
      case 'cache_aware':
        return new CacheAware(random)
      case 'all-knowing':
        return new AllKnowing(random)
    }
  }

  #turn(session: Session, index: number): void {
    const turn = session.turns[index]
    if (turn === undefined) return
    const { streamedShare = 1, leaveShare = 0 } = this.#scenario
    const { luck } = turn
    const gateway = this.#gateways[Math.floor(luck.gateway * this.#gateways.length)]!
    const isStreamed = luck.streamed < streamedShare
    const time = this.#events.now / this.#arrivalSeconds
    const isMeasured = time >= WARM_UP_SHARE && time <= 1
    if (isMeasured) this.#measured++
    const client = new Client({ session, turn, isStreamed }, this.#events.now)
    client.ended = () => {
      if (isMeasured) {
        this.#ended++
        this.#seconds += this.#events.now - client.arrivedAt
      }
      const next = session.turns[index + 1]
      if (next) this.#events.after(next.thinkSeconds, () => this.#turn(session, index + 1))
    }
    const isAtReturn = this.#isAtReturn
    client.firstToken = (warm) => {
      if (isAtReturn) this.#atReturn.firstTokenSeconds.push(this.#events.now - client.arrivedAt)
      if (!isMeasured) return
      this.#firstTokens++
      this.#firstTokenSeconds += this.#events.now - client.arrivedAt
      this.#promptCharacters += turn.prompt.end
      this.#warmCharacters += warm
    }
    this.#place(gateway, client)
    if (luck.leaves < leaveShare) {
      this.#events.after(luck.patienceSeconds, () => {
        if (client.leave?.() && isMeasured) this.#left++
      })
    }
  }

  #place(gateway: Gateway, client: Client): void {
    const open = gateway.places.filter(({ engine }) => engine.isUp)
    const { request } = client
    const place = gateway.router.choose(request, open)
    place.own++
    const placing: Placing | undefined = gateway.router.placed?.(request, place)
    const release = (outcome: Parameters<Placing['ended']>[0]): void => {
      client.leave = undefined
      place.own--
      placing?.ended(outcome)
    }
    const { prompt, reply, replyTokens } = request.turn
    const engineRequest: EngineRequest = {
      prompt,
      reply,
      replyTokens,
      firstToken: (warm) => {
        if (request.isStreamed) placing?.firstToken()
        client.firstToken(warm)
      },
      ended: () => {
        release('success')
        client.ended()
      },
      failed: () => {
        release('failure')
        this.#events.after(0, () => this.#place(gateway, client))
      },
    }
    client.leave = () => {
      place.engine.cancel(engineRequest)
      release('cancelled')
      return true
    }
    place.engine.submit(engineRequest)
    if (this.#isAtReturn) this.#notePiles()
  }

  #notePiles(): void {
    this.#engines.forEach(({ running, waiting }, i) => {
      this.#atReturn.most[i] = Math.max(this.#atReturn.most[i] ?? 0, running + waiting)
    })
  }

  get #isAtReturn(): boolean {
    return this.#events.now >= this.#returnedAt && this.#events.now <= this.#returnedAt + RETURN_SECONDS
  }

  #die({ seconds, isNoted }: NonNullable<CacheScenario['restart']>): void {
    const engine = this.#engines[0]!
    engine.die()
    if (isNoted) for (const { router, places } of this.#gateways) router.restarted?.(places[0]!)
    this.#events.after(seconds, () => {
      engine.restart()
      for (const { router, places } of this.#gateways) router.back?.(places[0]!)
      this.#returnedAt = this.#events.now
    })
  }

  #pollUntil(end: number): void {
    for (const { router, places } of this.#gateways) {
      for (const place of places) if (place.engine.isUp) router.polled?.(place)
    }
    if (this.#events.now < end) this.#events.after(POLL_SECONDS, () => this.#pollUntil(end))
  }

  #result(): CacheResult {
    const { most, firstTokenSeconds } = this.#atReturn
    return {
      meanSeconds: this.#seconds / this.#ended,
      meanFirstTokenSeconds: this.#firstTokenSeconds / this.#firstTokens,
      hitRate: this.#warmCharacters / this.#promptCharacters,
      requests: this.#measured,
      unfinished: this.#measured - this.#ended - this.#left,
      atReturn: this.#scenario.restart && {
        pileUp: (most[0] ?? 0) / mean(most.slice(1)),
        meanFirstTokenSeconds: mean(firstTokenSeconds),
      },
    }
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

/** A client that waits for one answer. */
class Client {
  readonly request: RoutedRequest
  readonly arrivedAt: number
  firstToken: (warmCharacters: number) => void = () => {}
  ended: () => void = () => {}
  /** Gives the request up; undefined where it has none. */
  leave: (() => boolean) | undefined

  constructor(request: RoutedRequest, arrivedAt: number) {
    this.request = request
    this.arrivedAt = arrivedAt
  }
}
