import { Backend, type Job } from './backend.ts'
import { Events } from './events.ts'
import { SimulatedGateway, type SimulatedPolicy } from './gateway.ts'
import { exponential, seededRandom } from './random.ts'

export interface Scenario {
  readonly seed: number
  readonly policy: SimulatedPolicy
  readonly nodes: number
  /** Arriving work over what the fleet can do, joining nodes left aside. */
  readonly utilisation: number
  /** Share of two-step clients: look up a node, then hand in the job there without a word to the gateway. */
  readonly lookUpShare: number
  /** All with concurrency 4 and one speed; else concurrency 1 to 8 and service times of 8^U seconds, U uniform. */
  readonly alike?: boolean
  /** Kinds of work, of which nodes may differ at each. */
  readonly kinds?: Kinds
  /** Share of the work that comes from elsewhere, spread over all nodes by what each can do. */
  readonly outsideShare?: number
  /** One node turns into a black hole when measuring begins. */
  readonly blackHole?: boolean
  /** So many of the nodes are added, unknown and idle, when measuring begins. */
  readonly joiningNodes?: number
  /** Gateways that know nothing of each other and share the clients. */
  readonly gateways?: number
  readonly pollSeconds?: number
  readonly warmUpSeconds?: number
  readonly measuredSeconds?: number
}

export interface Kinds {
  /** Size of the mean job of each kind over that of the others, and its share of the jobs. */
  readonly mix: readonly { readonly size: number; readonly share: number }[]
  /** Whether each node takes twice or half as long as usual for each kind, at random; else it takes as long as usual. */
  readonly nodesDiffer: boolean
}

export interface Result {
  /** Response times of jobs that arrived while measuring, from arrival to completion at the node. */
  readonly meanSeconds: number
  readonly p99Seconds: number
  readonly jobs: number
  /** Share of the attempts to place a job that went to the black hole. */
  readonly blackHoleShare: number
  /** The longest that it got on a joining node: pending jobs over concurrency. */
  readonly worstPileUp: number
  /** Jobs that were not done one hour after the measuring ended. */
  readonly lostJobs: number
}

/** One job in twenty is twenty times as long on the mean; sizes of either kind are exponential. The mean size is 1. */
const LARGE_SHARE = 0.05
const LARGE_RATIO = 20
const SMALL_SIZE = 1 / (1 - LARGE_SHARE + LARGE_SHARE * LARGE_RATIO)

/** Simulates a fleet behind gateways that use the real load classes. The same scenario gives the same result. */
export function simulate(scenario: Scenario): Result {
  return new Simulation(scenario).run()
}

class Simulation {
  readonly #scenario: Scenario
  readonly #events = new Events()
  readonly #backends: Backend[]
  readonly #joining: Backend[]
  readonly #gateways: SimulatedGateway[]
  /** Independent streams: what arrives is the same whatever the policy does with it. */
  readonly #arrivals: () => number
  readonly #responseSeconds: number[] = []
  /** Kinds whose mean size over all jobs is 1. */
  readonly #mix: Kinds['mix']
  #jobs = 0

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    this.#arrivals = seededRandom(2 * scenario.seed)
    const random = seededRandom(2 * scenario.seed + 1)
    const { policy, pollSeconds = 30, joiningNodes = 0, kinds } = scenario
    const meanSize = (kinds?.mix ?? []).reduce((sum, { size, share }) => sum + size * share, 0)
    this.#mix = (kinds?.mix ?? []).map(({ size, share }) => ({ size: size / meanSize, share }))
    this.#backends = Array.from({ length: scenario.nodes }, () => this.#backend())
    this.#joining = this.#backends.slice(scenario.nodes - joiningNodes)
    this.#gateways = Array.from({ length: scenario.gateways ?? 1 }, () => {
      const gateway = new SimulatedGateway(this.#events, random, policy, pollSeconds)
      for (const backend of this.#backends) {
        if (!this.#joining.includes(backend)) gateway.add(backend, random() * pollSeconds)
      }
      return gateway
    })
  }

  run(): Result {
    const { warmUpSeconds = 300, measuredSeconds = 1500, utilisation, outsideShare = 0 } = this.#scenario
    const known = this.#backends.filter((backend) => !this.#joining.includes(backend))
    const capacity = known.reduce((sum, backend) => sum + backend.throughput / this.#meanSlowness(backend), 0)
    const end = warmUpSeconds + measuredSeconds
    const measured = (): boolean => this.#events.now >= warmUpSeconds
    this.#every(1 / (capacity * utilisation * (1 - outsideShare)), end, () => this.#clientArrives(measured()))
    if (outsideShare > 0)
      this.#every(1 / (capacity * utilisation * outsideShare), end, () => this.#outsideJob(capacity))
    this.#events.runUntil(warmUpSeconds)
    if (this.#scenario.blackHole) this.#backends[0]!.isBlackHole = true
    for (const backend of this.#joining) for (const gateway of this.#gateways) gateway.add(backend, 0)
    this.#events.runUntil(end)
    this.#events.runUntil(end + 3600)
    return this.#result()
  }

  #backend(): Backend {
    const { alike, kinds } = this.#scenario
    const [concurrency, seconds] = alike ? [4, 1] : [1 + Math.floor(8 * this.#arrivals()), 8 ** this.#arrivals()]
    const slownessAt = this.#mix.map(() => (kinds?.nodesDiffer ? (this.#arrivals() < 0.5 ? 0.5 : 2) : 1))
    return new Backend(this.#events, concurrency, seconds, slownessAt)
  }

  /** How many times as long a node takes for its share of all jobs, because of their kinds. */
  #meanSlowness({ slownessAt }: Backend): number {
    if (this.#mix.length === 0) return 1
    return this.#mix.reduce((sum, { size, share }, kind) => sum + size * share * (slownessAt[kind] ?? 1), 0)
  }

  #every(meanSeconds: number, end: number, run: () => void): void {
    this.#events.after(exponential(this.#arrivals, meanSeconds), () => {
      if (this.#events.now > end) return
      run()
      this.#every(meanSeconds, end, run)
    })
  }

  #clientArrives(measured: boolean): void {
    const arrivedAt = this.#events.now
    if (measured) this.#jobs++
    const done = (): void => {
      if (measured) this.#responseSeconds.push(this.#events.now - arrivedAt)
    }
    const gateway = this.#gateways[Math.floor(this.#arrivals() * this.#gateways.length)]!
    const looksUp = this.#arrivals() < this.#scenario.lookUpShare
    const isAsync = this.#arrivals() < 0.5
    const job = this.#job()
    if (looksUp) gateway.lookUp(job, done)
    else gateway.forward(job, isAsync, done)
  }

  #outsideJob(capacity: number): void {
    let target = this.#arrivals() * capacity
    const backend = this.#backends.find((candidate) => (target -= candidate.throughput) < 0) ?? this.#backends[0]!
    backend.submit(this.#job(), () => {})
  }

  #job(): Job {
    const mean = this.#arrivals() < LARGE_SHARE ? LARGE_RATIO * SMALL_SIZE : SMALL_SIZE
    const size = exponential(this.#arrivals, mean)
    if (this.#mix.length === 0) return { size }
    let left = this.#arrivals()
    const kind = Math.max(
      0,
      this.#mix.findIndex(({ share }) => (left -= share) < 0),
    )
    return { size: size * this.#mix[kind]!.size, kind }
  }

  #result(): Result {
    const sorted = Float64Array.from(this.#responseSeconds).sort()
    const attempts = this.#gateways.reduce((sum, gateway) => sum + gateway.blackHoleAttempts, 0)
    return {
      meanSeconds: sorted.reduce((sum, seconds) => sum + seconds, 0) / sorted.length,
      p99Seconds: sorted[Math.floor(0.99 * sorted.length)] ?? NaN,
      jobs: this.#jobs,
      blackHoleShare: attempts / this.#jobs,
      worstPileUp: Math.max(0, ...this.#joining.map((backend) => backend.mostPending / backend.concurrency)),
      lostJobs: this.#jobs - sorted.length,
    }
  }
}
