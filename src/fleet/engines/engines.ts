import type { EventEmitter } from 'node:events'
import { Semaphore } from '../../base/semaphore.ts'
import type { FleetEvents } from '../fleetEvents.ts'
import { jittered } from '../jitter.ts'
import type { TrackedNode } from '../node.ts'
import { Pace } from '../pace.ts'
import type { LoadAnswer, Prober } from '../probe.ts'
import type { EngineCounts, EngineLoad } from './engineLoad.ts'

/** Pause between two questions while they are frequent, seconds. */
const CLOSE_SECONDS = 1
/** Interval between checks for due services, ms. */
const TICK_MS = 200
/** Longest pause until a service without a load to tell is asked again, seconds. The first pause is the interval of polls. */
const LONGEST_PAUSE_SECONDS = 300
/** After this many failures in a row the last load is dropped. */
const MAX_FAILURES = 3
/** After this many intervals of polls without a new load the last one is dropped. */
const STALE_INTERVALS = 3.5

/** Questions a second, of all services together: one costs 0.4 ms of the event loop, with vLLM's 100 kB up to 1.3 ms. */
const QUESTIONS_PER_SECOND = 25
const MOST_AT_ONCE = 16
/** A question without an answer for that long no longer holds up others, seconds. */
const HOLD_SECONDS = 1

/** How the questions for one service's load go. Times are monotonic seconds. */
class Watch {
  isAsking = false
  failures = 0
  /** Least time of the next frequent question. */
  nextAt = -Infinity
  /** No question before. */
  pausedUntil = -Infinity
  pauseSeconds = 0
  /** Frequent questions until then, however little there is to do. */
  closeUntil = -Infinity
  /** Since when the engine has shown the numbers that it shows, and the most of our own requests that were there since. */
  shownSince = -Infinity
  mostOwn = 0

  /** Our own requests that a new count is to be compared with, given those of now. */
  ownAtCount(
    { running, waiting, keptSeconds = 0 }: EngineCounts,
    last: EngineLoad | undefined,
    own: number,
    now: number,
  ): number {
    const isShownStill = last?.running === running && last.waiting === waiting && now - this.shownSince < keptSeconds
    if (!isShownStill) this.shownSince = now
    this.mostOwn = isShownStill ? Math.max(own, this.mostOwn) : own
    return this.mostOwn
  }
}

/**
 * Asks the engines behind OpenAI-compatible services how many requests they have, at `/metrics`: after each good poll of their
 * models, and each second while there is much to do or `watchClosely` asked for it. These questions have their own limits and
 * never hold up polls. An engine that does not tell its load is as healthy as any: only its load is unknown.
 */
export class Engines {
  readonly #fleet: EventEmitter<FleetEvents>
  readonly #prober: Pick<Prober, 'askLoad'>
  readonly #intervalSeconds: number
  readonly #now: () => number
  readonly #watches = new Map<TrackedNode, Watch>()
  readonly #pace = new Pace({ perSecond: QUESTIONS_PER_SECOND, burst: QUESTIONS_PER_SECOND })
  readonly #places = new Semaphore(MOST_AT_ONCE, HOLD_SECONDS)
  #timer: NodeJS.Timeout | undefined

  /**
   * @param fleet emits `service:load` and tells which services are gone
   * @param intervalSeconds time between two polls of a service
   * @param now monotonic seconds
   */
  constructor(
    fleet: EventEmitter<FleetEvents>,
    prober: Pick<Prober, 'askLoad'>,
    intervalSeconds: number,
    now: () => number,
  ) {
    this.#fleet = fleet
    this.#prober = prober
    this.#intervalSeconds = intervalSeconds
    this.#now = now
    const forget = (node: TrackedNode): void => this.forget(node)
    fleet.on('node:down', forget)
    fleet.on('node:removed', forget)
  }

  /** A poll of its models has gone well. */
  polled(node: TrackedNode): void {
    let watch = this.#watches.get(node)
    if (!watch) this.#watches.set(node, (watch = new Watch()))
    if (this.#now() >= watch.pausedUntil) void this.#ask(node, watch)
  }

  /**
   * Asks the service each second until `until` (monotonic seconds), even if little is under way: for those who decide by its load,
   * such as a queue while requests wait. Cheap to call for each request. Of a service whose load is unknown it
   * changes nothing. Of more than 25 services each is asked less often than that; `EngineLoad.at` says how old a load is.
   */
  watchClosely(node: TrackedNode, until: number): void {
    const watch = this.#watches.get(node)
    if (!watch || !node.engineLoad) return
    watch.closeUntil = Math.max(watch.closeUntil, until)
    if (this.#now() >= watch.nextAt) void this.#ask(node, watch)
  }

  /** Nothing that is known of its load holds any more. It is asked anew after its next good poll. */
  forget(node: TrackedNode): void {
    this.#watches.delete(node)
    this.#lose(node)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#watches.clear()
  }

  async #ask(node: TrackedNode, watch: Watch): Promise<void> {
    if (watch.isAsking) return
    watch.isAsking = true
    let own = 0
    let answer: LoadAnswer | undefined
    try {
      await this.#pace.turn()
      answer = await this.#places.run(async () => {
        own = node.load.inFlight
        // Its turn may come after it was forgotten.
        return this.#watches.get(node) === watch ? await this.#prober.askLoad(node) : undefined
      })
    } finally {
      watch.isAsking = false
    }
    if (answer !== undefined && this.#watches.get(node) === watch) this.#answered(node, watch, answer, own)
  }

  /** @param ownBefore our own requests in flight there when it was asked */
  #answered(node: TrackedNode, watch: Watch, answer: LoadAnswer, ownBefore: number): void {
    const now = this.#now()
    watch.nextAt = now + jittered(CLOSE_SECONDS)
    // For want of something here; says nothing of the service.
    if (answer === 'unasked') return
    if (answer === 'failed' && ++watch.failures < MAX_FAILURES) return
    if (answer === 'failed' || answer === 'none') {
      this.#pause(watch, now)
      return this.#lose(node)
    }
    watch.failures = 0
    watch.pauseSeconds = 0
    const own = watch.ownAtCount(answer, node.engineLoad, (ownBefore + node.load.inFlight) / 2, now)
    this.#learn(node, { ...answer, own, at: now })
  }

  #pause(watch: Watch, now: number): void {
    watch.pauseSeconds = Math.min(LONGEST_PAUSE_SECONDS, Math.max(this.#intervalSeconds, 2 * watch.pauseSeconds))
    watch.pausedUntil = now + jittered(watch.pauseSeconds)
  }

  #learn(node: TrackedNode, load: EngineLoad): void {
    node.engineLoad = load
    node.load.polled(load.at, load.running + load.waiting, load)
    this.#fleet.emit('service:load', node, load)
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref()
  }

  #lose(node: TrackedNode): void {
    if (!node.engineLoad) return
    node.engineLoad = undefined
    node.load.unpolled(this.#now())
  }

  #tick(): void {
    const now = this.#now()
    const known = [...this.#watches].filter(([node]) => node.engineLoad)
    const isFleetBusy = known.some(([node]) => isBusy(node))
    for (const [node, watch] of known) {
      if (now - node.engineLoad!.at > STALE_INTERVALS * this.#intervalSeconds) this.#lose(node)
      else if (now >= watch.nextAt && (isFleetBusy || now < watch.closeUntil)) void this.#ask(node, watch)
    }
    if (known.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** Whether the service has so much to do that its load decides about the next requests. */
function isBusy({ load, engineLoad }: TrackedNode): boolean {
  return engineLoad!.waiting > 0 || 2 * load.inFlight >= load.concurrency
}
