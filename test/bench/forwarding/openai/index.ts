import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanups } from '../../../kit/cleanups.ts'
import { SHORT_WARM_UP } from '../contenders/index.ts'
import type { Findings } from '../findings.ts'
import type { LineName } from '../goals.ts'
import { load, openLoad, posting } from '../load.ts'
import type { BenchOptions } from '../options.ts'
import {
  cpuOfTurn,
  differences,
  machine,
  p50OfTurn,
  p99OfTurn,
  Rounds,
  turnOf,
  turnTable,
  type Turn,
} from '../rounds.ts'
import { startTargets, type Target, type Targets } from './contenders.ts'
import { EventStreams } from './eventStreams.ts'
import { chatBody, EVENTS_PER_SECOND } from './protocol.ts'

const SMALL_LOAD = 150
/** Streams at once, and the lines of the summary that tell of them. */
const STREAMS: readonly { count: number; cpu: LineName; p99: LineName }[] = [
  { count: 100, cpu: 'eventCpu100', p99: 'eventP99At100' },
  { count: 200, cpu: 'eventCpu200', p99: 'eventP99At200' },
]
/** Streams that have just been opened are not yet what they will be. */
const SETTLE_MS = 500

/** Chat completions in one piece, of the gateway beside the plain proxies and no proxy at all. */
export async function measureChat(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const targets = await startTargets(cleanups, options)
  const { gateway, stock } = targets
  const body = chatBody(false)
  const { connections, rounds: count, roundSeconds: seconds, openRounds, openRoundSeconds } = options
  for (const { url, isCompiledAsItRuns } of targets.all) {
    await load(posting(url, body), connections, isCompiledAsItRuns ? options.warmUp : SHORT_WARM_UP)
  }
  if (options.loads.has('full')) {
    const rounds = await Rounds.run(targets.all, count, ({ url, pid }) =>
      turnOf(pid, () => load(posting(url, body), connections, { seconds })),
    )
    console.log(`Chat completion in one piece: ${connections} connections, ${about(count, seconds)}\n`)
    console.log(`${tableOf(targets, rounds, 'request')}\n`)
    findings.note('chatCpu', rounds.values(gateway, cpuOfTurn), rounds.values(stock, cpuOfTurn))
  }
  if (options.loads.has('small')) {
    const rate = { perSecond: SMALL_LOAD, seconds: openRoundSeconds }
    const rounds = await Rounds.run(targets.all, openRounds, ({ url, pid }) =>
      turnOf(pid, () => openLoad(posting(url, body), rate)),
    )
    console.log(`Chat completion in one piece: ${SMALL_LOAD} a second, ${about(openRounds, rate.seconds)}\n`)
    console.log(`${tableOf(targets, rounds, 'request')}\n`)
    findings.note('chatSmallCpu', rounds.values(gateway, cpuOfTurn), rounds.values(stock, cpuOfTurn))
    findings.note('chatSmallP50', rounds.values(gateway, p50OfTurn), rounds.values(stock, p50OfTurn))
    findings.note('chatSmallP99', rounds.values(gateway, p99OfTurn), rounds.values(stock, p99OfTurn))
  }
}

/** Streamed chat completions: the cost of an event, and how much later than without a proxy it comes. */
export async function measureEvents(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const targets = await startTargets(cleanups, options)
  const { direct, gateway, stock } = targets
  const { rounds: count, roundSeconds: seconds } = options
  for (const target of targets.all) {
    const warmUpSeconds = target.isCompiledAsItRuns ? 2 * options.shortWarmUpSeconds : SHORT_WARM_UP.seconds
    await streamTurn(target, STREAMS.at(-1)!.count, warmUpSeconds)
  }
  for (const streams of STREAMS) {
    const rounds = await Rounds.run(targets.all, count, (target) => streamTurn(target, streams.count, seconds))
    const rate = `${streams.count} streams of ${EVENTS_PER_SECOND} events a second`
    console.log(`Event of a streamed chat completion: ${rate}, ${about(count, seconds)}\n`)
    console.log(`${tableOf(targets, rounds, 'event')}\n`)
    const addedP99 = (target: Target | undefined): number[] | undefined =>
      target && differences(rounds.values(target, p99OfTurn)!, rounds.values(direct, p99OfTurn)!)
    findings.note(streams.cpu, rounds.values(gateway, cpuOfTurn), rounds.values(stock, cpuOfTurn))
    findings.note(streams.p99, addedP99(gateway), addedP99(stock))
  }
}

const about = (rounds: number, seconds: number): string => `one service, ${rounds} rounds of ${seconds} s; ${machine()}`

function tableOf({ stock: base, direct }: Targets, rounds: Rounds<Target>, unit: string): string {
  return turnTable(rounds, { unit, base, direct })
}

async function streamTurn({ url, pid }: Target, count: number, seconds: number): Promise<Turn> {
  const streams = await EventStreams.open(url, count)
  await sleep(SETTLE_MS)
  streams.delaysMs = []
  const turn = await turnOf(pid, async () => {
    const startedAt = performance.now()
    await sleep(seconds * 1000)
    const { delaysMs: latenciesMs, broken: errors } = streams
    return { requests: latenciesMs.length, errors, seconds: (performance.now() - startedAt) / 1000, latenciesMs }
  })
  await streams.leave()
  return turn
}
