import { cpus, loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanups } from './cleanups.ts'
import { CONTENDERS, stock } from './contenders/index.ts'
import type { Contender, Running } from './contenders/contender.ts'
import { cpuSeconds } from './cpu.ts'
import { JOB, startFleet } from './fleet.ts'
import { load, type LoadEnd } from './load.ts'
import type { BenchOptions } from './options.ts'
import { median, quantile, table } from './report.ts'

/** One contender's turn in one round. */
interface Turn {
  readonly requestsPerSecond: number
  /** CPU of the proxy's processes for each request, what follows from the request later included. */
  readonly cpuMicroseconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

interface Entry {
  readonly contender: Contender
  readonly running: Running
  readonly turns: Turn[]
}

/** Lets what was begun end, where nobody can say when that is. */
const SETTLE_MS = 300

/** CPU per forwarded job of all contenders, in turn, round after round, so that whatever else the machine does hits all. */
export async function measureJobCost(cleanups: Cleanups, options: BenchOptions): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  console.log(
    `CPU per forwarded POST /api/jobs: ${Buffer.byteLength(JOB)} bytes, ${options.connections} connections, three nodes; ` +
      `${options.rounds} rounds of ${options.roundSeconds} s after up to ${options.jobWarmUp.requests} jobs to warm up; ` +
      `own load generator; ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}\n`,
  )
  const entries: Entry[] = []
  const missing: string[] = []
  for (const contender of chosen(options)) {
    if (contender.version() === undefined) missing.push(contender.name)
    else entries.push({ contender, running: await contender.start(cleanups, nodes), turns: [] })
  }
  for (const { running } of entries) await takeTurn(running, options, options.jobWarmUp)
  for (let round = 0; round < options.rounds; round++) {
    for (const { running, turns } of entries)
      turns.push(await takeTurn(running, options, { seconds: options.roundSeconds }))
  }
  console.log(`${resultTable(entries, missing)}\n`)
  for (const { contender } of entries) console.log(`${contender.name} ${contender.version()}: ${contender.note}`)
  console.log(`\n${verdict(entries)}\n`)
}

function chosen({ contenders }: BenchOptions): Contender[] {
  if (contenders.length === 0) return Object.values(CONTENDERS)
  return contenders.map((name) => {
    const contender = CONTENDERS[name]
    if (!contender) throw new Error(`no contender is called ${name}; there are ${Object.keys(CONTENDERS).join(', ')}`)
    return contender
  })
}

async function takeTurn(running: Running, { connections }: BenchOptions, end: LoadEnd): Promise<Turn> {
  const recordedBefore = await running.settle?.()
  const before = cpuSeconds(running.pid)
  const result = await load(running.url, JOB, connections, end)
  if (running.settle) {
    const recorded = (await running.settle()) - recordedBefore!
    if (recorded !== result.requests) throw new Error(`${result.requests} jobs accepted, but ${recorded} recorded`)
  } else await sleep(SETTLE_MS)
  const cpu = cpuSeconds(running.pid) - before
  return {
    requestsPerSecond: result.requests / result.seconds,
    cpuMicroseconds: (cpu / result.requests) * 1e6,
    p50Ms: quantile(result.latenciesMs, 0.5),
    p99Ms: quantile(result.latenciesMs, 0.99),
    errors: result.errors,
  }
}

function resultTable(entries: readonly Entry[], missing: readonly string[]): string {
  const base = entries.find(({ contender }) => contender === stock)
  const rows = entries.map((entry) => [entry.contender.name, ...numbers(entry, base)])
  const head = ['proxy', 'CPU µs/job', 'min–max', 'of stock', 'jobs/s', 'p50 ms', 'p99 ms', 'errors']
  const absent = missing.map((name) => [name, 'not installed', ...Array<string>(head.length - 2).fill('')])
  return table(head, [...rows, ...absent])
}

/** The shipped gateway beside what it has to keep up with. */
function verdict(entries: readonly Entry[]): string {
  const entryOf = (name: string): Entry | undefined => entries.find(({ contender }) => contender === CONTENDERS[name])
  const shipped = entryOf('sqlite')
  if (!shipped) return ''
  const timesThatOf = (name: string): string => {
    const other = entryOf(name)
    return other ? median(ratios(shipped, other)).toFixed(2) : '?'
  }
  return `With the sqlite ledger: ${timesThatOf('stock')} × stock (the bar: 0.60), ${timesThatOf('caddy')} × Caddy (the aim: 1.00)`
}

/** Round by round: whatever the machine did then, it did to both. */
function ratios(one: Entry, other: Entry): number[] {
  return one.turns.map(({ cpuMicroseconds }, round) => cpuMicroseconds / other.turns[round]!.cpuMicroseconds)
}

function numbers(entry: Entry, base: Entry | undefined): string[] {
  const of = (what: keyof Turn): number[] => entry.turns.map((turn) => turn[what])
  const cpu = of('cpuMicroseconds')
  return [
    median(cpu).toFixed(1),
    `${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)}`,
    base ? median(ratios(entry, base)).toFixed(2) : '',
    median(of('requestsPerSecond')).toFixed(0),
    median(of('p50Ms')).toFixed(1),
    median(of('p99Ms')).toFixed(1),
    String(of('errors').reduce((sum, errors) => sum + errors, 0)),
  ]
}
