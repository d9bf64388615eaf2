import { cpus, loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanups } from '../cleanups.ts'
import { cpuSeconds } from '../cpu.ts'
import { load } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import { median, quantile, table } from '../report.ts'
import { isStock, startTargets, type Target } from './contenders.ts'
import { EventStreams } from './eventStreams.ts'
import { chatBody, EVENTS_PER_SECOND } from './protocol.ts'

const STREAMS = 200
/** Streams that have just been opened are not yet what they will be. */
const SETTLE_MS = 1000

/** One target's turn in one round. */
interface Turn {
  /** CPU of the proxy for each request or event. */
  readonly cpuMicroseconds: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

type TakeTurn = (target: Target, options: BenchOptions, seconds: number) => Promise<Turn>

/** Chat completions, in one piece and as events, of the gateway beside the stock layer, nginx, and no proxy at all. */
export async function measureOpenAi(cleanups: Cleanups, options: BenchOptions): Promise<void> {
  const targets = await startTargets(cleanups)
  const { rounds, roundSeconds, connections } = options
  const about =
    `one service, ${rounds} rounds of ${roundSeconds} s, own load generator; ` +
    `${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`
  console.log(`CPU per chat completion in one piece: ${connections} connections, ${about}\n`)
  console.log(`${await measured(targets, options, 'request', unaryTurn)}\n`)
  const rate = `${STREAMS} streams of ${EVENTS_PER_SECOND} events a second`
  console.log(`CPU per event of a streamed chat completion: ${rate}, ${about}\n`)
  console.log(`${await measured(targets, options, 'event', streamTurn)}\n`)
}

/** All targets in turn, round after round, so that whatever else the machine does hits all. */
async function measured(
  targets: readonly Target[],
  options: BenchOptions,
  unit: string,
  take: TakeTurn,
): Promise<string> {
  const turns = new Map(targets.map((target) => [target, [] as Turn[]]))
  for (const target of targets) await take(target, options, options.warmUpSeconds)
  for (let round = 0; round < options.rounds; round++) {
    for (const target of targets) turns.get(target)!.push(await take(target, options, options.roundSeconds))
  }
  const direct = turns.get(targets[0]!)!
  const base = turns.get(targets.find(isStock)!)!
  const head = [`${unit}s by way of`, `CPU µs/${unit}`, 'of stock', `${unit}s/s`]
  const delays = ['p50 ms', 'added p50', 'p99 ms', 'added p99', 'errors']
  const rows = targets.map((target) => [target.name, ...numbers(turns.get(target)!, base, direct)])
  return table([...head, ...delays], rows)
}

async function unaryTurn({ url, pid }: Target, { connections }: BenchOptions, seconds: number): Promise<Turn> {
  const before = cpuOf(pid)
  const result = await load(url, chatBody(false), connections, { seconds })
  return {
    cpuMicroseconds: ((cpuOf(pid) - before) / result.requests) * 1e6,
    perSecond: result.requests / result.seconds,
    p50Ms: quantile(result.latenciesMs, 0.5),
    p99Ms: quantile(result.latenciesMs, 0.99),
    errors: result.errors,
  }
}

async function streamTurn({ url, pid }: Target, _options: BenchOptions, seconds: number): Promise<Turn> {
  const streams = await EventStreams.open(url, STREAMS)
  await sleep(SETTLE_MS)
  streams.delaysMs = []
  const before = cpuOf(pid)
  const startedAt = performance.now()
  await sleep(seconds * 1000)
  const cpu = cpuOf(pid) - before
  const { delaysMs, broken } = streams
  const elapsed = (performance.now() - startedAt) / 1000
  await streams.leave()
  return {
    cpuMicroseconds: (cpu / delaysMs.length) * 1e6,
    perSecond: delaysMs.length / elapsed,
    p50Ms: quantile(delaysMs, 0.5),
    p99Ms: quantile(delaysMs, 0.99),
    errors: broken,
  }
}

function cpuOf(pid: number | undefined): number {
  return pid === undefined ? 0 : cpuSeconds(pid)
}

/** What is set beside another target is of the same round: whatever the machine did then, it did to both. */
function numbers(turns: readonly Turn[], base: readonly Turn[], direct: readonly Turn[]): string[] {
  const over = (what: (turn: Turn, round: number) => number): number => median(turns.map(what))
  return [
    over((turn) => turn.cpuMicroseconds).toFixed(1),
    over((turn, round) => turn.cpuMicroseconds / base[round]!.cpuMicroseconds).toFixed(2),
    over((turn) => turn.perSecond).toFixed(0),
    over((turn) => turn.p50Ms).toFixed(2),
    over((turn, round) => turn.p50Ms - direct[round]!.p50Ms).toFixed(2),
    over((turn) => turn.p99Ms).toFixed(2),
    over((turn, round) => turn.p99Ms - direct[round]!.p99Ms).toFixed(2),
    String(turns.reduce((sum, { errors }) => sum + errors, 0)),
  ]
}
