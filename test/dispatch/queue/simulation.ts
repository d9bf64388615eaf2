import { PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'
import type { TrackedNode } from '../../../src/fleet/node.ts'
import { exponential, seededRandom } from '../../kit/routingSimulation/random.ts'
import { QueueSite, settled, type Asked } from './site.ts'

/** A service of a simulation: what it runs at once, and the mean seconds of a request there. */
interface SimulatedEngine {
  readonly places: number
  readonly seconds: number
}

interface SimulatedCaller {
  readonly name: string
  /** Requests a second, Poisson; or `always` as many requests that wait or run, each followed by the next after `pause` seconds. */
  readonly perSecond?: number
  readonly always?: number
  readonly pause?: number
  /** When its stream begins and ends, seconds; default: with the scenario. */
  readonly from?: number
  readonly until?: number
}

interface QueueScenario {
  readonly engines: readonly SimulatedEngine[]
  readonly callers: readonly SimulatedCaller[]
  readonly seed: number
  readonly seconds: number
  /** Requests that may wait; 0: there is no queue. */
  readonly size?: number
  /** Clients leave when their answer has not come after this long, seconds. */
  readonly patience?: number
}

export interface SimulatedRequest {
  readonly caller: string
  readonly at: number
  /** Own service time at the engine that it went to. */
  service: number
  /** When its answer was complete; undefined where it was lost. */
  doneAt: number | undefined
}

/** Runs the real dispatcher and queue in front of simulated engines, by a clock of their own. The same scenario gives the same result. */
export async function simulateQueue(scenario: QueueScenario): Promise<SimulatedRequest[]> {
  return new Simulation(scenario).run()
}

interface Engine extends SimulatedEngine {
  running: number
  readonly inside: (() => void)[]
}

class Simulation {
  readonly #scenario: QueueScenario
  readonly #site: QueueSite
  readonly #engines = new Map<TrackedNode, Engine>()
  readonly #requests: SimulatedRequest[] = []
  readonly #events: { at: number; order: number; happen: () => void }[] = []
  readonly #arrivals: () => number
  readonly #sizes: () => number
  readonly #start: number
  #orders = 0

  constructor(scenario: QueueScenario) {
    const { engines, seed, size = 1000 } = scenario
    this.#scenario = scenario
    this.#arrivals = seededRandom(2 * seed)
    this.#sizes = seededRandom(2 * seed + 1)
    this.#site = new QueueSite({ services: engines.map(({ places }) => ({ concurrency: places })), size })
    this.#site.services.forEach((node, index) =>
      this.#engines.set(node, { ...engines[index]!, running: 0, inside: [] }),
    )
    this.#start = this.#site.now
  }

  async run(): Promise<SimulatedRequest[]> {
    for (const caller of this.#scenario.callers) {
      if (caller.perSecond !== undefined) this.#later(caller.from ?? 0, () => this.#streamOn(caller))
      for (let i = 0; i < (caller.always ?? 0); i++) this.#later(i / 1000, () => this.#ask(caller))
    }
    const end = this.#start + this.#scenario.seconds
    for (;;) {
      const event = this.#next()
      if (!event || event.at > end) return this.#requests
      this.#site.now = event.at
      event.happen()
      await settled()
    }
  }

  #streamOn(caller: SimulatedCaller): void {
    this.#later(exponential(this.#arrivals, 1 / caller.perSecond!), () => {
      if (this.#site.now - this.#start > (caller.until ?? Infinity)) return
      this.#ask(caller)
      this.#streamOn(caller)
    })
  }

  #ask(caller: SimulatedCaller): void {
    const site = this.#site
    const { patience } = this.#scenario
    const chain = new PrefixChain()
    chain.add(`${this.#orders} ${'x'.repeat(500)}`)
    const prompt = { chain, historyCharacters: 0, conversation: this.#orders, isNamedSession: false, isStreamed: true }
    const size = exponential(this.#sizes, 1)
    const request: SimulatedRequest = { caller: caller.name, at: site.now, service: 0, doneAt: undefined }
    this.#requests.push(request)
    const asked = site.ask(caller.name, { prompt })
    let hasEnded = false
    const over = (): void => {
      hasEnded = true
      if (caller.always !== undefined) this.#later(caller.pause ?? 0, () => this.#ask(caller))
    }
    if (patience !== undefined) {
      this.#later(patience, () => {
        if (hasEnded) return
        over()
        if (!asked.lease) return asked.leave()
        request.service = Infinity
      })
    }
    asked.placed.then(
      () => this.#run(asked, request, size, () => !hasEnded && over()),
      () => !hasEnded && over(),
    )
  }

  /** The engine runs it, at once or when it has a place: an engine that is abandoned by a client goes on with the next. */
  #run(asked: Asked, request: SimulatedRequest, size: number, over: () => void): void {
    const { lease } = asked
    const engine = this.#engines.get(lease!.node)!
    const begin = (): void => {
      if (request.service === Infinity) {
        lease!.exchangeEnded()
        lease!.workEnded('cancelled')
        return
      }
      engine.running++
      const service = size * engine.seconds
      request.service = service
      this.#later(service / 10, () => lease!.cacheUse?.firstToken())
      this.#later(service, () => {
        engine.running--
        const isLost = request.service === Infinity
        lease!.exchangeEnded()
        lease!.workEnded(isLost ? 'cancelled' : 'success')
        if (!isLost) request.doneAt = this.#site.now
        over()
        while (engine.running < engine.places && engine.inside.length > 0) engine.inside.shift()!()
      })
    }
    if (engine.running < engine.places) begin()
    else engine.inside.push(begin)
  }

  #later(seconds: number, happen: () => void): void {
    const event = { at: this.#site.now + seconds, order: this.#orders++, happen }
    let low = 0
    let high = this.#events.length
    // Kept in falling order, so that the next one is at the end.
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#events[middle]!
      if (other.at > event.at || (other.at === event.at && other.order > event.order)) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }

  #next(): { at: number; happen: () => void } | undefined {
    return this.#events.pop()
  }
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
