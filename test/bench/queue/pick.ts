/**
 * Prints what the queue itself costs with 10,000 requests in it, without sockets: `node test/bench/queue/pick.ts`. One pick is
 * what happens when a request ends: its work is trued up, its place given back, and the next request chosen and placed.
 */
import { Dispatcher } from '../../../src/dispatch/dispatcher.ts'
import { comparedKindOf } from '../../../src/dispatch/judge.ts'
import type { Lease } from '../../../src/dispatch/lease.ts'
import { requireModel } from '../../../src/dispatch/requirement.ts'
import { Selector } from '../../../src/dispatch/selector.ts'
import type { WorkRequest } from '../../../src/dispatch/workRequest.ts'
import { parseAddress, type NodeSpec } from '../../../src/fleet/address.ts'
import { Cleanups } from '../../kit/cleanups.ts'
import { ListedNodes, newFleet } from '../../kit/builders/fleets.ts'
import { seeded } from '../routing/random.ts'
import { mean, median, quantile } from './statistics.ts'

const WAITING = 10_000
const SERVICES = 4
const PLACES_EACH = 4
const WARM_UP_PICKS = 5000
const PICKS = 20_000
const MODEL = requireModel('m')
const MOST_PICK_US = 10
const MOST_LEAVE_SECONDS = 1

const random = seeded(1)
const cleanups = new Cleanups()

/** Healthy services that are not polled, and a queue in front of them. */
async function newDispatcher(): Promise<Dispatcher> {
  const services = Array.from({ length: SERVICES }, (_, i): NodeSpec => {
    return { ...parseAddress(`127.0.0.1:${i + 1}`), kind: 'openai', models: ['m'], concurrency: PLACES_EACH }
  })
  const fleet = newFleet(cleanups, [new ListedNodes(...services)])
  const started = fleet.start()
  fleet.stop()
  await started
  for (const node of fleet.nodes.values()) {
    node.health.observe(true)
    node.learnModels([{ id: 'm', json: '{}' }], '/v1')
  }
  fleet.version++
  // A caller may hold half of all places: here each has a small part.
  return new Dispatcher(fleet, new Selector(fleet), {
    queue: { size: 4 * WAITING, timeoutSeconds: 3600, weightOf: () => 1 },
  })
}

/** Requests of some callers at one dispatcher: as many wait as should, and as many run as can. */
class Crowd {
  readonly running: Lease[] = []
  readonly #dispatcher: Dispatcher
  readonly #callers: number
  readonly #leaving = new Set<AbortController>()
  #came = 0

  constructor(dispatcher: Dispatcher, callers: number) {
    this.#dispatcher = dispatcher
    this.#callers = callers
  }

  get waiting(): number {
    return this.#dispatcher.queue?.waiting ?? 0
  }

  /** One more request comes. */
  come(): void {
    const request: WorkRequest = {
      asked: { requirement: MODEL, kind: comparedKindOf(MODEL), caller: `name:caller-${this.#came++ % this.#callers}` },
      cooldownKey: 'c',
    }
    const leave = new AbortController()
    this.#leaving.add(leave)
    this.#dispatcher.acquire(request, leave.signal).then(
      (lease) => {
        this.#leaving.delete(leave)
        this.running.push(lease)
      },
      () => this.#leaving.delete(leave),
    )
  }

  /** One that runs ends, and the next one is picked. Returns how long that took, µs. */
  end(): number {
    const at = Math.floor(random() * this.running.length)
    const [lease] = this.running.splice(at, 1) as [Lease]
    const completionTokens = Math.ceil(500 * random())
    lease.meter = { usage: () => ({ promptTokens: 100, completionTokens }) }
    lease.exchangeEnded()
    const before = process.hrtime.bigint()
    lease.workEnded('success')
    return Number(process.hrtime.bigint() - before) / 1000
  }

  /** All that wait leave. Returns how long that took, seconds. */
  allLeave(): number {
    const leaving = [...this.#leaving]
    const before = performance.now()
    for (const leave of leaving) leave.abort(new Error('left'))
    return (performance.now() - before) / 1000
  }
}

async function measure(callers: number): Promise<void> {
  const crowd = new Crowd(await newDispatcher(), callers)
  for (let i = 0; i < WAITING + SERVICES * PLACES_EACH; i++) crowd.come()
  const picks: number[] = []
  for (let i = 0; i < WARM_UP_PICKS + PICKS; i++) {
    // The lease of the request that was picked comes by its promise.
    await settled()
    const microseconds = crowd.end()
    if (i >= WARM_UP_PICKS) picks.push(microseconds)
    crowd.come()
  }
  await settled()
  const { waiting } = crowd
  if (waiting !== WAITING) throw new Error(`${waiting} wait instead of ${WAITING}`)
  const seconds = crowd.allLeave()
  if (crowd.waiting !== 0) throw new Error(`${crowd.waiting} did not leave`)
  // The mean has collections of garbage in it, most of which is this benchmark's own, and turns of other processes.
  const each = median(picks)
  console.log(`${WAITING} requests of ${callers} callers wait:`)
  console.log(
    `  one pick ${each.toFixed(1)} µs in the median, mean ${mean(picks).toFixed(1)}, p99 ${quantile(picks, 0.99).toFixed(1)}; goal ≤ ${MOST_PICK_US}: ${verdict(each <= MOST_PICK_US)}`,
  )
  console.log(
    `  all leave in ${seconds.toFixed(3)} s; goal ≤ ${MOST_LEAVE_SECONDS}: ${verdict(seconds <= MOST_LEAVE_SECONDS)}`,
  )
}

/** After all that promises have to do. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function verdict(isMet: boolean): string {
  return isMet ? 'met' : 'MISSED'
}

try {
  for (const callers of [10, 1000, WAITING]) await measure(callers)
} finally {
  await cleanups.run()
}
