import { Dispatcher } from '../../../src/dispatch/dispatcher.ts'
import { comparedKindOf } from '../../../src/dispatch/judge.ts'
import type { Lease } from '../../../src/dispatch/lease.ts'
import type { Queue } from '../../../src/dispatch/queue/queue.ts'
import { requireModel } from '../../../src/dispatch/requirement.ts'
import { Selector } from '../../../src/dispatch/selector.ts'
import type { WorkRequest } from '../../../src/dispatch/workRequest.ts'
import { parseAddress } from '../../../src/fleet/address.ts'
import { Fleet } from '../../../src/fleet/fleet.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { TrackedNode } from '../../../src/fleet/node.ts'
import { ListedNodes, TEST_IDENTITY } from '../../kit/builders/fleets.ts'
import { seededRandom } from '../../kit/routingSimulation/random.ts'

interface ServiceOptions {
  readonly concurrency?: number
  /** Default: `m`. */
  readonly models?: readonly string[]
}

interface SiteOptions {
  readonly services: readonly ServiceOptions[]
  readonly size?: number
  readonly timeoutSeconds?: number
  /** By caller; default: 1. */
  readonly weights?: Readonly<Record<string, number>>
}

/** How a request stands that asked for a place. */
export interface Asked {
  readonly caller: string
  readonly request: WorkRequest
  readonly leave: (reason?: Error) => void
  /** Settles when it has a place, or never will. */
  readonly placed: Promise<Lease>
  lease: Lease | undefined
  fault: Error | undefined
}

/** A dispatcher with a queue, and services that are healthy although there is nothing behind their addresses. The clock is the test's. */
export class QueueSite {
  /** Monotonic seconds. */
  now = 1000
  readonly fleet: Fleet
  readonly dispatcher: Dispatcher
  /** Undefined where its size is 0. */
  readonly queue: Queue
  readonly services: readonly TrackedNode[]

  constructor({ services, size = 1000, timeoutSeconds = 3600, weights = {} }: SiteOptions) {
    this.fleet = new Fleet({
      sources: [new ListedNodes()],
      refreshIntervalSeconds: 60,
      identity: TEST_IDENTITY,
      now: () => this.now,
    })
    this.services = services.map((options, index) => this.#add(options, index))
    const weightOf = (caller: string): number => weights[caller] ?? 1
    const queue = { size, timeoutSeconds, weightOf }
    this.dispatcher = new Dispatcher(this.fleet, new Selector(this.fleet, undefined, { random: seededRandom(1) }), {
      queue,
    })
    this.queue = this.dispatcher.queue as Queue
  }

  /** Asks for a place. Whether there is one at once shows after `settled`. */
  ask(caller: string, { model = 'm', ...more }: Partial<WorkRequest> & { model?: string } = {}): Asked {
    const requirement = requireModel(model)
    const controller = new AbortController()
    const leave = (reason = new Error('left')): void => controller.abort(reason)
    const request: WorkRequest = {
      asked: { requirement, kind: comparedKindOf(requirement), caller },
      cooldownKey: `openai ${model} ${caller}`,
      ...more,
    }
    const placed = this.dispatcher.acquire(request, controller.signal)
    const asked: Asked = { caller, request, leave, placed, lease: undefined, fault: undefined }
    placed.then(
      (lease) => (asked.lease = lease),
      (error: unknown) => (asked.fault = error as Error),
    )
    return asked
  }

  /** The same for several requests in turn. */
  askAll(callers: readonly string[], more?: Partial<WorkRequest> & { model?: string }): Asked[] {
    return callers.map((caller) => this.ask(caller, more))
  }

  #add({ concurrency, models = ['m'] }: ServiceOptions, index: number): TrackedNode {
    const spec = {
      ...parseAddress(`10.0.0.${index + 1}:4000`),
      kind: 'openai' as const,
      name: `service ${index}`,
      ...(concurrency === undefined ? {} : { concurrency }),
    }
    const node = new TrackedNode(spec, new NodeLoad(this.fleet.loads.openai, spec))
    node.learnModels(
      models.map((id) => ({ id, json: '{}' })),
      '/v1',
    )
    node.health.observe(true)
    this.fleet.nodes.set(node.key, node)
    this.fleet.version++
    return node
  }
}

/** Ends a request that was served. */
export function end({ lease }: Asked, outcome: 'success' | 'cancelled' = 'success'): void {
  lease?.exchangeEnded()
  lease?.workEnded(outcome)
}

/** Lets everything happen that follows at once. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
