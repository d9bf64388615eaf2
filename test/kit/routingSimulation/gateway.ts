import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import type { WorkMark } from '../../../src/fleet/load/work.ts'
import { waitingSeconds } from '../../../src/fleet/load/score.ts'
import type { SelectionContext } from '../../../src/dispatch/policies/candidate.ts'
import { rank } from '../../../src/dispatch/policies/ranking.ts'
import { SELECTION_POLICIES, type SelectionPolicyName } from '../../bench/routing/policies.ts'
import { DEFAULT_CONSTANTS } from '../../../src/fleet/load/constants.ts'
import type { Backend, Job } from './backend.ts'
import type { Events } from './events.ts'

/** `without kinds` is the score, with nothing learnt of kinds of work. `all-knowing` scores like the policy, but with each node's true count, speed and concurrency: what could be had. */
export type SimulatedPolicy = SelectionPolicyName | 'without kinds' | 'all-knowing'

/** A node as one gateway sees it. */
interface KnownNode {
  readonly backend: Backend
  readonly load: NodeLoad
  pollsMade: number
}

/** Half the jobs of one-step clients are asynchronous: a follower hears of their end within this many seconds. */
const FOLLOWER_SECONDS = 1

/** What a gateway does with the load classes, without sockets: chooses, counts, follows, polls. */
export class SimulatedGateway {
  /** Jobs and look-ups that were sent to a black hole. */
  blackHoleAttempts = 0
  readonly #events: Events
  readonly #random: () => number
  readonly #policy: SelectionPolicyName | 'all-knowing'
  readonly #pollSeconds: number
  readonly #fleet: FleetLoad
  readonly #nodes: KnownNode[] = []

  constructor(events: Events, random: () => number, policy: SimulatedPolicy, pollSeconds: number) {
    this.#events = events
    this.#random = random
    this.#policy = policy === 'without kinds' ? 'score' : policy
    this.#fleet = new FleetLoad({ ...DEFAULT_CONSTANTS, ...(policy === 'without kinds' && { kindMemoryBytes: 0 }) })
    this.#pollSeconds = pollSeconds
  }

  /** Learns of a node and polls it from now on. */
  add(backend: Backend, firstPollAfter: number): void {
    const node = { backend, load: new NodeLoad(this.#fleet), pollsMade: 0 }
    this.#nodes.push(node)
    this.#pollAfter(node, firstPollAfter)
  }

  /** A job of a one-step client, forwarded until a node takes it. */
  forward(job: Job, isAsync: boolean, done: () => void): void {
    const tried = new Set<KnownNode>()
    for (;;) {
      const now = this.#events.now
      const node = this.#choose(job, (candidate) => !tried.has(candidate) && candidate.load.admits(now))
      if (node === undefined) throw new Error('no node is left')
      const mark = node.load.started(now, nameOf(job))
      if (!node.backend.isBlackHole) {
        this.#serve(node, job, isAsync, mark, done)
        return
      }
      this.blackHoleAttempts++
      node.load.failed(now)
      node.load.ended(now, { outcome: 'failure', mark })
      tried.add(node)
    }
  }

  /** A two-step client asks for a node and hands in its job there by itself. */
  lookUp(job: Job, done: () => void): void {
    const node = this.#firstAnswer(job)
    node.load.lookedUp(this.#events.now)
    if (node.backend.isBlackHole) this.blackHoleAttempts++
    node.backend.submit(job, done)
    this.#considerEarlyPoll(node)
  }

  #serve(node: KnownNode, job: Job, isAsync: boolean, mark: WorkMark, done: () => void): void {
    const startedAt = this.#events.now
    if (isAsync) node.load.succeeded(startedAt)
    node.backend.submit(job, () => {
      done()
      if (!isAsync) this.#ended(node, startedAt, mark, 0)
      else this.#events.after(this.#random() * FOLLOWER_SECONDS, () => this.#ended(node, startedAt, mark, 0.5))
    })
  }

  #ended(node: KnownNode, startedAt: number, mark: WorkMark, lagSeconds: number): void {
    const now = this.#events.now
    node.load.succeeded(now)
    node.load.ended(now, { outcome: 'success', lagSeconds, mark })
    node.load.latencyObserved(now - startedAt)
  }

  #choose(job: Job, allows: (node: KnownNode) => boolean): KnownNode | undefined {
    if (this.#policy === 'all-knowing') return this.#trulyBest(job)
    return SELECTION_POLICIES[this.#policy](this.#nodes, { ...this.#contextOf(job), allows })
  }

  #contextOf(job: Job): SelectionContext<KnownNode> {
    const kind = this.#fleet.kinds.find(nameOf(job))
    const costRatio = this.#fleet.costRatioOf(undefined, kind)
    return { now: this.#events.now, fleet: this.#fleet, random: this.#random, costRatio, kind }
  }

  #firstAnswer(job: Job): KnownNode {
    const node =
      this.#policy === 'score' ? rank(this.#nodes, this.#contextOf(job), 3)[0] : this.#choose(job, () => true)
    if (node === undefined) throw new Error('no node at all')
    return node
  }

  #trulyBest({ kind = 0 }: Job): KnownNode | undefined {
    let best: KnownNode | undefined
    let least = Infinity
    for (const node of this.#nodes) {
      const { pending, concurrency, secondsPerJob } = node.backend
      const seconds = secondsPerJob * (node.backend.slownessAt[kind] ?? 1)
      const score = waitingSeconds(pending, concurrency, seconds, this.#fleet.constants)
      if (score < least) [best, least] = [node, score]
    }
    return best
  }

  #considerEarlyPoll(node: KnownNode): void {
    const at = node.load.earlyPollAt(this.#events.now)
    if (this.#policy === 'score' && at !== undefined) this.#pollAfter(node, Math.max(0, at - this.#events.now))
  }

  /** Polls later, unless another poll comes before; from each poll on, the next is a whole interval away. */
  #pollAfter(node: KnownNode, seconds: number): void {
    const polls = node.pollsMade
    this.#events.after(seconds, () => {
      if (node.pollsMade !== polls) return
      node.pollsMade++
      node.load.polled(this.#events.now, node.backend.pending)
      this.#pollAfter(node, this.#pollSeconds * (0.9 + 0.2 * this.#random()))
    })
  }
}

/** The name of its kind of work; undefined where there are none. */
function nameOf({ kind }: Job): string | undefined {
  return kind === undefined ? undefined : `kind ${kind}`
}
