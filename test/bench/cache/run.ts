import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds } from '../forwarding/cpu.ts'
import type { EngineStats } from '../../kit/fakeEngine/index.ts'
import { startContender, type Contender, type ContenderName } from './contenders.ts'
import { arrivalsOf } from './conversations.ts'
import type { Fleet } from './fleet.ts'
import { Load, type Sent } from './load.ts'
import type { Workload } from './workloads.ts'

/** Real seconds. */
export interface Timing {
  readonly warmUpSeconds: number
  readonly measuredSeconds: number
  /** How long answers may still take after the last request that counts. */
  readonly drainSeconds: number
}

/** Times in simulated seconds, shares from 0 to 1. */
export interface RunResult {
  readonly requests: number
  /** From the request to the end of its answer. */
  readonly meanSeconds: number
  readonly p99Seconds: number
  /** From the request to the first token. */
  readonly firstSeconds: number
  readonly firstP99Seconds: number
  /** Prompt tokens that the engines had cached. */
  readonly hitRate: number
  readonly failed: number
  /** Answers that had not ended when the run did; they count with the time that they had taken by then. */
  readonly unended: number
  /** Work that engines did over what they can do; the mean of all by speed, and the busiest one. */
  readonly busy: number
  readonly busiest: number
  /** Mean number of requests that run on an engine, and most that waited at one. */
  readonly running: number
  readonly mostWaiting: number
  /** Share of the machine's processors that was busy; what the contender took; what it, engines and clients took. */
  readonly machineCpu: number
  readonly contenderCpu: number
  readonly benchCpu: number
  readonly failures: readonly string[]
}

/** One contender under one seeded workload, from empty caches on. */
export async function runOnce(
  name: ContenderName,
  workload: Workload,
  { fleet, timing, seed }: { fleet: Fleet; timing: Timing; seed: number },
): Promise<RunResult> {
  await fleet.reset()
  const { warmUpSeconds, measuredSeconds, drainSeconds } = timing
  const arrivals = arrivalsOf({
    ...{ kind: workload.kind, load: workload.load, seed, engines: fleet.engines },
    ...{
      seconds: (warmUpSeconds + measuredSeconds) / fleet.timeScale,
      startSeconds: (0.6 * warmUpSeconds) / fleet.timeScale,
    },
  })
  const contender = await startContender(name, fleet)
  const load = new Load(contender.origin, fleet.timeScale)
  try {
    const startedAt = performance.now()
    const offered = load.offer(arrivals, startedAt)
    await sleep(warmUpSeconds * 1000)
    const [from, before] = [startedAt + warmUpSeconds * 1000, await snapshot(fleet, contender)]
    await sleep(from + measuredSeconds * 1000 - performance.now())
    const [until, after] = [from + measuredSeconds * 1000, await snapshot(fleet, contender)]
    await offered
    load.over()
    const counted = load.sent.filter(({ at }) => at >= from && at < until)
    const isDone = (): boolean => counted.every(({ endAt, hasFailed }) => endAt !== undefined || hasFailed)
    while (!isDone() && performance.now() < until + drainSeconds * 1000) await sleep(50)
    return { ...timesOf(counted, fleet.timeScale), ...workOf(fleet, before, after), failures: load.failures }
  } finally {
    await load.end()
    await contender.stop()
  }
}

interface Snapshot {
  readonly at: number
  readonly engines: readonly EngineStats[]
  /** CPU seconds. */
  readonly contenderCpu: number
  readonly benchCpu: number
  readonly machine: { readonly busy: number; readonly all: number }
}

async function snapshot(fleet: Fleet, { pid }: Contender): Promise<Snapshot> {
  const engines = await fleet.stats()
  const machine = { busy: 0, all: 0 }
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.irq + times.idle
    machine.all += all
    machine.busy += all - times.idle
  }
  const benchCpu = cpuSeconds(process.pid)
  return { at: performance.now(), engines, contenderCpu: cpuSeconds(pid), benchCpu, machine }
}

function timesOf(
  sent: readonly Sent[],
  timeScale: number,
): Pick<
  RunResult,
  'requests' | 'meanSeconds' | 'p99Seconds' | 'firstSeconds' | 'firstP99Seconds' | 'failed' | 'unended'
> {
  const now = performance.now()
  const good = sent.filter(({ hasFailed }) => !hasFailed)
  const simulated = (ms: number): number => ms / 1000 / timeScale
  const whole = good.map(({ at, endAt = now }) => simulated(endAt - at)).sort((one, other) => one - other)
  const first = good.map(({ at, firstAt = now }) => simulated(firstAt - at)).sort((one, other) => one - other)
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const p99 = (values: readonly number[]): number => values[Math.floor(0.99 * values.length)] ?? NaN
  return {
    ...{ requests: good.length, meanSeconds: mean(whole), p99Seconds: p99(whole) },
    ...{ firstSeconds: mean(first), firstP99Seconds: p99(first) },
    failed: sent.length - good.length,
    unended: good.filter(({ endAt }) => endAt === undefined).length,
  }
}

function workOf(
  { engines, timeScale }: Fleet,
  before: Snapshot,
  after: Snapshot,
): Pick<
  RunResult,
  'hitRate' | 'busy' | 'busiest' | 'running' | 'mostWaiting' | 'machineCpu' | 'contenderCpu' | 'benchCpu'
> {
  const ms = (after.at - before.at) / timeScale
  const delta = (of: (stats: EngineStats) => number): number[] =>
    after.engines.map((stats, i) => of(stats) - of(before.engines[i]!))
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const busy = delta(({ workMs }) => workMs).map((work) => work / ms)
  const processorSeconds = ((after.at - before.at) / 1000) * cpus().length
  const speeds = engines.map(({ speed }) => speed)
  return {
    hitRate: sum(delta(({ cachedTokens }) => cachedTokens)) / sum(delta(({ promptTokens }) => promptTokens)),
    busy: sum(busy.map((share, i) => share * speeds[i]!)) / sum(speeds),
    busiest: Math.max(...busy),
    running: sum(delta(({ runningMs }) => runningMs)) / ms / engines.length,
    mostWaiting: Math.max(...after.engines.map(({ mostWaiting }) => mostWaiting)),
    machineCpu: (after.machine.busy - before.machine.busy) / (after.machine.all - before.machine.all),
    contenderCpu: (after.contenderCpu - before.contenderCpu) / processorSeconds,
    benchCpu: (after.benchCpu - before.benchCpu) / processorSeconds,
  }
}
