import { WarmCaches, type CachedService, type WarmCandidate } from '../../../src/dispatch/warmCaches/warmCaches.ts'
import type { Prompt } from '../../../src/dispatch/warmCaches/prompt.ts'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import type { Place, Placing, RoutedRequest, Router } from './router.ts'

interface Service extends CachedService {
  readonly place: Place
  readonly load: NodeLoad
}

/** What the gateway does with the classes of `src/dispatch/warmCaches`, without sockets. */
export class WarmRouter implements Router {
  readonly #random: () => number
  readonly #now: () => number
  readonly #fleet = new FleetLoad()
  readonly #caches: WarmCaches<Service>
  readonly #services = new Map<Place, Service>()
  /** What `choose` found of the request that is placed next. */
  #chosen: WarmCandidate<Service> | undefined

  constructor(random: () => number, now: () => number, usesIndex: boolean) {
    this.#random = random
    this.#now = now
    this.#caches = new WarmCaches({ now, usesIndex })
  }

  choose(request: RoutedRequest, places: readonly Place[]): Place {
    const services = places.map((place) => this.#serviceOf(place))
    const context = { now: this.#now(), random: this.#random }
    const chosen = this.#caches.choose(services, promptOf(request), context)
    if (chosen === undefined) throw new Error('no engine is up')
    this.#chosen = chosen
    return chosen.service.place
  }

  placed(request: RoutedRequest, place: Place): Placing {
    const service = this.#serviceOf(place)
    const use = this.#caches.begin(service, promptOf(request), this.#chosen)
    use.reply = { chain: () => request.turn.reply.chain }
    const mark = service.load.started(this.#now())
    return {
      firstToken: () => use.firstToken(),
      ended: (outcome) => {
        const now = this.#now()
        if (outcome === 'success') service.load.succeeded(now)
        if (outcome === 'failure') service.load.failed(now)
        service.load.ended(now, { outcome, mark })
        use.ended(outcome, now)
      },
    }
  }

  restarted(place: Place): void {
    this.#caches.wentDown(this.#serviceOf(place))
  }

  back(place: Place): void {
    this.#serviceOf(place).load.recovered(this.#now())
  }

  polled(place: Place): void {
    const service = this.#serviceOf(place)
    const requests = place.engine.running + place.engine.waiting
    this.#caches.polled(service, requests, place.own)
    service.load.polled(this.#now(), requests)
  }

  #serviceOf(place: Place): Service {
    let service = this.#services.get(place)
    if (service === undefined) {
      service = { place, key: `http://engine-${place.index}`, refusedAt: -Infinity, load: new NodeLoad(this.#fleet) }
      this.#services.set(place, service)
    }
    return service
  }
}

function promptOf({ session, turn, isStreamed }: RoutedRequest): Prompt {
  const { conversation } = session
  const { prompt, historyCharacters } = turn
  return { chain: prompt.chain, historyCharacters, conversation, isNamedSession: false, isStreamed }
}
