import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cleanups } from '../../kit/cleanups.ts'
import type { JobTrace } from '../../kit/fakeNode/index.ts'
import { startRedis } from '../../kit/redisServer.ts'
import { arrivalsOf, ONE_KIND, type Arrival, type Mix } from './arrivals.ts'
import { Client } from './client.ts'
import { startContender, type Contender, type ContenderName } from './contenders.ts'
import { capacity, startFleet, startNode, type BenchNode } from './fleet.ts'
import { seeded } from './random.ts'
import type { Scenario, Timing } from './scenarios.ts'

export interface RunResult {
  readonly jobs: number
  readonly meanSeconds: number
  readonly p50Seconds: number
  readonly p95Seconds: number
  readonly p99Seconds: number
  /** Jobs that had not ended when the run did; they count with the time they had taken by then. */
  readonly unended: number
  /** Jobs of one-step clients that failed, and all that failed. */
  readonly failedOneStep: number
  readonly failed: number
  /** Share of attempts after the black hole opened that reached it. */
  readonly blackHoleShare: number
  /** Most pending jobs over concurrency on a node that joined. */
  readonly worstPileUp: number
  /** Share of one processor that the contender took, and this process with generator and nodes. */
  readonly contenderCpu: number
  readonly benchCpu: number
}

/** One contender under one seeded load, over real sockets; completion is stamped where the job ends. */
export async function runOnce(
  name: ContenderName,
  scenario: Scenario,
  timing: Timing,
  seed: number,
): Promise<RunResult> {
  const run = new Run(name, scenario, timing, seed)
  try {
    return await run.go()
  } finally {
    await run.end()
  }
}

class Run {
  readonly #name: ContenderName
  readonly #scenario: Scenario
  readonly #timing: Timing
  readonly #seed: number
  readonly #mix: Mix
  readonly #client = new Client()
  readonly #cleanups = new Cleanups()
  readonly #random: () => number
  #nodes: BenchNode[] = []
  #blackHole: BenchNode | undefined
  readonly #joined: BenchNode[] = []
  #contender: Contender | undefined
  #startedAt = 0
  /** Wall-clock ms at which measured jobs arrived, by id. */
  readonly #arrived = new Map<string, number>()
  readonly #ended = new Map<string, number>()
  #waiting = 0
  #failed = 0
  #failedOneStep = 0
  #holeAttempts = 0
  #attempts = 0
  #worstPileUp = 0

  constructor(name: ContenderName, scenario: Scenario, timing: Timing, seed: number) {
    this.#name = name
    this.#scenario = scenario
    this.#timing = timing
    this.#seed = seed
    this.#mix = scenario.mix ?? ONE_KIND
    this.#random = seeded(seed + 1)
  }

  async go(): Promise<RunResult> {
    const {
      nodes,
      alike = false,
      gateways = 1,
      sharesRedis = false,
      utilisation,
      lookupShare,
      outsideShare = 0,
      streamShare = 0.5,
      tellsConcurrency,
      differByKind = false,
    } = this.#scenario
    this.#nodes = await startFleet({ nodes, alike, seed: this.#seed, mix: this.#mix, differByKind })
    for (const node of this.#nodes) this.#watch(node)
    const stateUrl = sharesRedis ? (await startRedis(this.#cleanups, { appendOnly: true })).url() : undefined
    this.#contender = await startContender(this.#name, this.#nodes, { count: gateways, tellsConcurrency, stateUrl })
    const { warmUpSeconds, measuredSeconds } = this.#timing
    const arrivals = arrivalsOf({
      ...{
        seed: this.#seed,
        rate: utilisation * capacity(this.#nodes, this.#mix),
        seconds: warmUpSeconds + measuredSeconds,
      },
      ...{ lookupShare, outsideShare, streamShare, mix: this.#mix },
    })
    const before = this.#cpu()
    this.#startedAt = Date.now()
    const change = this.#change()
    await this.#offer(arrivals)
    const cpu = this.#cpu()
    const seconds = (Date.now() - this.#startedAt) / 1000
    await change
    await this.#drain()
    return this.#result({
      contenderCpu: (cpu.contender - before.contender) / seconds,
      benchCpu: (cpu.bench - before.bench) / seconds,
    })
  }

  async end(): Promise<void> {
    await this.#contender?.stop()
    await this.#client.close()
    await Promise.all([...this.#nodes, ...this.#joined].map(({ sim }) => sim.stop()))
    await this.#cleanups.run()
  }

  #watch({ sim }: BenchNode): void {
    sim.on('jobEnded', (trace: JobTrace) => this.#ended.set(trace.id, trace.endedAt ?? Date.now()))
  }

  /** What happens to the fleet when measuring begins. */
  async #change(): Promise<void> {
    const { blackHole = false, joiningNodes = 0, slowingNode = false } = this.#scenario
    await sleep(this.#timing.warmUpSeconds * 1000)
    if (slowingNode) await this.#nodes[0]?.sim.set({ slowness: 10 * this.#nodes[0].slowness })
    if (blackHole) {
      this.#blackHole = this.#nodes[0]
      // It says that it is idle, and breaks whatever it is given.
      await this.#blackHole?.sim.set({ shownPending: { offchain: 0, onchain: 0 } })
      await this.#blackHole?.sim.break('submit')
      this.#blackHole?.sim.on('request', (request) => {
        if (request.endpoint === 'submit') this.#holeAttempts++
      })
    }
    for (let i = 0; i < joiningNodes; i++) {
      const node = await startNode(1 + (i % 8), 8 ** (i / joiningNodes))
      this.#watch(node)
      this.#joined.push(node)
    }
    if (joiningNodes > 0) await this.#contender?.update([...this.#nodes, ...this.#joined])
  }

  /** Sends each arrival at its time, whatever became of those before. */
  async #offer(arrivals: readonly Arrival[]): Promise<void> {
    for (const arrival of arrivals) {
      const ahead = this.#startedAt + arrival.at * 1000 - Date.now()
      if (ahead > 1) await sleep(ahead)
      this.#waiting++
      this.#send(arrival)
        .catch(() => {
          this.#failed++
          if (arrival.way === 'job' || arrival.way === 'stream') this.#failedOneStep++
        })
        .finally(() => this.#waiting--)
      for (const { sim, concurrency } of this.#joined) {
        this.#worstPileUp = Math.max(this.#worstPileUp, sim.load.pending / concurrency)
      }
    }
  }

  async #send(arrival: Arrival): Promise<void> {
    const at = this.#startedAt + arrival.at * 1000
    if (this.#blackHole && arrival.way !== 'outside') this.#attempts++
    const id = await this.#place(arrival)
    if (arrival.at >= this.#timing.warmUpSeconds && arrival.way !== 'outside') this.#arrived.set(id, at)
  }

  #place({ way, container, size, place }: Arrival): Promise<string> {
    const work = { container, size }
    if (way === 'outside') return this.#client.job(this.#byCapacity(place).sim.url, work)
    if (this.#name === 'oracle') return this.#client.job(this.#leastLoaded(container).sim.url, work)
    const origins = this.#contender?.origins ?? []
    const origin = origins[Math.floor(this.#random() * origins.length)] ?? ''
    if (way === 'lookup')
      return this.#client.lookUp(origin, container).then((address) => this.#client.job(`http://${address}`, work))
    if (way === 'stream') return this.#client.stream(origin, work)
    // With a black hole about, clients accept a second run, so that none of their jobs need fail.
    const key = this.#scenario.blackHole ? `k${this.#attempts}-${this.#random()}` : undefined
    return this.#client.job(origin, work, key)
  }

  /** Load from outside goes to each node by what it can do. */
  #byCapacity(place: number): BenchNode {
    let left = place * capacity(this.#nodes, this.#mix)
    for (const node of this.#nodes) if ((left -= capacity([node], this.#mix)) <= 0) return node
    return this.#nodes[0] as BenchNode
  }

  /** The same score as the gateway's, from the truth. */
  #leastLoaded(container: string): BenchNode {
    let best = this.#nodes[0] as BenchNode
    let bestScore = Infinity
    for (const node of this.#nodes) {
      const share = (node.sim.load.pending + 1) / node.concurrency
      const slowness = node.slowness * (node.slownessAt[container] ?? 1)
      const score = slowness * (share > 1 ? share ** 2 : 1 + 0.001 * share)
      if (score >= bestScore) continue
      bestScore = score
      best = node
    }
    return best
  }

  async #drain(): Promise<void> {
    const deadline = Date.now() + this.#timing.drainSeconds * 1000
    const isDone = (): boolean => this.#waiting === 0 && [...this.#arrived.keys()].every((id) => this.#ended.has(id))
    while (!isDone() && Date.now() < deadline) await sleep(200)
  }

  #cpu(): { contender: number; bench: number } {
    const { user, system } = process.cpuUsage()
    const contender = (this.#contender?.pids ?? []).reduce((sum, pid) => sum + cpuSeconds(pid), 0)
    return { contender, bench: (user + system) / 1e6 }
  }

  #result(cpu: { contenderCpu: number; benchCpu: number }): RunResult {
    const now = Date.now()
    let unended = 0
    const seconds: number[] = []
    for (const [id, at] of this.#arrived) {
      const ended = this.#ended.get(id)
      if (ended === undefined) unended++
      seconds.push(((ended ?? now) - at) / 1000)
    }
    seconds.sort((a, b) => a - b)
    const quantile = (q: number): number => seconds[Math.min(seconds.length - 1, Math.floor(q * seconds.length))] ?? NaN
    return {
      jobs: seconds.length,
      meanSeconds: seconds.reduce((sum, value) => sum + value, 0) / seconds.length,
      p50Seconds: quantile(0.5),
      p95Seconds: quantile(0.95),
      p99Seconds: quantile(0.99),
      unended: unended + this.#waiting,
      failed: this.#failed,
      failedOneStep: this.#failedOneStep,
      blackHoleShare: this.#attempts === 0 ? 0 : this.#holeAttempts / this.#attempts,
      worstPileUp: this.#worstPileUp,
      ...cpu,
    }
  }
}

/** Processor time of a process so far, from the system (Linux counts in hundredths of a second). */
function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}
