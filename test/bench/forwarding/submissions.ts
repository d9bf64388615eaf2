import { setTimeout as sleep } from 'node:timers/promises'
import { request } from '../../kit/http.ts'
import type { Cleanups } from '../../kit/cleanups.ts'
import { CONTENDERS, missingOf, startContenders, warmUp, type Started } from './contenders/index.ts'
import type { Findings } from './findings.ts'
import { JOB, startFleet } from './fleet.ts'
import { load, openLoad, posting, type LoadResult } from './load.ts'
import type { BenchOptions } from './options.ts'
import { median, table } from './report.ts'
import { cpuOfTurn, machine, p50OfTurn, p99OfTurn, Rounds, turnOf, turnTable, type Turn } from './rounds.ts'

/** Lets what was begun end, where nobody can say when that is. */
const SETTLE_MS = 300
const SMALL_LOAD = 150

interface Contenders {
  readonly all: readonly Started[]
  readonly sqlite: Started | undefined
  readonly stock: Started | undefined
}

/** CPU and times of a forwarded job by way of all contenders: at full load, at half of the gateway's, and at a small one. */
export async function measureSubmissions(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  console.log(`POST /api/jobs: ${Buffer.byteLength(JOB)} bytes, three nodes; ${machine()}\n`)
  const all = await startContenders(cleanups, nodes, options)
  const contenders = {
    all,
    sqlite: all.find(({ contender }) => contender === CONTENDERS['sqlite']),
    stock: all.find(({ contender }) => contender === CONTENDERS['stock']),
  }
  for (const each of all) await warmUp(each, options)
  // The rate of half load is known from full load.
  if (options.loads.has('full') || options.loads.has('half')) {
    const fullRate = await atFullLoad(contenders, options, findings)
    if (options.loads.has('half')) await atHalfLoad(contenders, options, fullRate / 2, findings)
  }
  if (options.loads.has('small')) await atSmallLoad(contenders, options, findings)
  for (const { name, contender } of all) console.log(`${name} ${contender.version()}: ${contender.note}`)
  for (const name of missingOf(options)) console.log(`${name}: not installed`)
  console.log()
}

/** Returns how many jobs a second the gateway takes. */
async function atFullLoad(contenders: Contenders, options: BenchOptions, findings: Findings): Promise<number> {
  const { all, sqlite, stock } = contenders
  const { connections, rounds: count, roundSeconds: seconds } = options
  const rounds = await Rounds.run(all, count, (started) =>
    turn(started, () => load(posting(started.url, JOB), connections, { seconds })),
  )
  console.log(`Full load: ${connections} connections, ${count} rounds of ${seconds} s\n`)
  console.log(`${turnTable(rounds, { unit: 'job', base: stock })}\n`)
  findings.note('jobCpu', rounds.values(sqlite, cpuOfTurn), rounds.values(stock, cpuOfTurn))
  findings.note(
    'jobP99',
    rounds.values(sqlite, ({ p99Ms }) => p99Ms),
    rounds.values(sqlite, ({ meanMs }) => meanMs),
  )
  return sqlite ? median(rounds.values(sqlite, ({ perSecond }) => perSecond)!) : NaN
}

async function atHalfLoad(
  { sqlite, stock }: Contenders,
  options: BenchOptions,
  perSecond: number,
  findings: Findings,
): Promise<void> {
  if (!sqlite) return
  const { openRounds, openRoundSeconds: seconds } = options
  const stallsMs: number[] = []
  const rounds = await Rounds.run(stock ? [sqlite, stock] : [sqlite], openRounds, async (started) => {
    // Whatever was before is forgotten with each look.
    if (started === sqlite) await longestStallMs(sqlite.url)
    return turn(started, async () => {
      const result = await openLoad(posting(started.url, JOB), { perSecond, seconds })
      if (started === sqlite) stallsMs.push(await longestStallMs(sqlite.url))
      return result
    })
  })
  console.log(
    `Half of the gateway's full load: ${perSecond.toFixed(0)} a second, ${openRounds} rounds of ${seconds} s\n`,
  )
  console.log(`${turnTable(rounds, { unit: 'job', base: stock })}\n`)
  console.log(`${table(['longest stall of the event loop, by round', ''], stallsMs.map(stallRow))}\n`)
  findings.note('jobHalfP99', rounds.values(sqlite, p99OfTurn), rounds.values(stock, p99OfTurn))
  findings.note('jobHalfStall', stallsMs)
}

async function atSmallLoad(
  { all, sqlite, stock }: Contenders,
  options: BenchOptions,
  findings: Findings,
): Promise<void> {
  // The parts that the gateway is built from are no choice that anybody has.
  const some = all.filter(({ contender }) => contender !== CONTENDERS['bare'])
  const rate = { perSecond: SMALL_LOAD, seconds: options.openRoundSeconds }
  const rounds = await Rounds.run(some, options.openRounds, (started) =>
    turn(started, () => openLoad(posting(started.url, JOB), rate)),
  )
  console.log(`Small load: ${SMALL_LOAD} a second, ${options.openRounds} rounds of ${rate.seconds} s\n`)
  console.log(`${turnTable(rounds, { unit: 'job', base: stock })}\n`)
  findings.note('jobSmallCpu', rounds.values(sqlite, cpuOfTurn), rounds.values(stock, cpuOfTurn))
  findings.note('jobSmallP50', rounds.values(sqlite, p50OfTurn), rounds.values(stock, p50OfTurn))
  findings.note('jobSmallP99', rounds.values(sqlite, p99OfTurn), rounds.values(stock, p99OfTurn))
}

/** What follows from a job, as far as it is recorded, belongs to its turn. */
async function turn({ running }: Started, run: () => Promise<LoadResult>): Promise<Turn> {
  const recordedBefore = await running.settle?.()
  return turnOf(running.pid, run, async ({ requests, errors }) => {
    if (!running.settle) return sleep(SETTLE_MS)
    const recorded = (await running.settle()) - recordedBefore!
    if (errors === 0 && recorded !== requests) throw new Error(`${requests} jobs accepted, but ${recorded} recorded`)
  })
}

/**
 * Since the last look, in the main thread of the gateway; NaN where it does not tell. The shortest delay is the interval at which
 * it looks.
 */
async function longestStallMs(url: string): Promise<number> {
  const { text } = await request(new URL('/metrics', url))
  const seconds = (what: string): number =>
    Number(new RegExp(`^nodejs_eventloop_lag_${what}_seconds (\\S+)$`, 'm').exec(text)?.[1])
  return (seconds('max') - seconds('min')) * 1000
}

const stallRow = (ms: number, round: number): string[] => [String(round + 1), `${ms.toFixed(1)} ms`]
