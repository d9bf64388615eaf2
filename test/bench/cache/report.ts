import type { ContenderName } from './contenders.ts'
import { goalsOf } from './goals.ts'
import type { RunResult } from './run.ts'
import type { WorkloadName } from './workloads.ts'

/** Of each contender the results of its seeds, in order. */
export type Results = ReadonlyMap<ContenderName, readonly RunResult[]>

/** Above this share of the machine's processors, times are no longer those of the engines alone. */
const MOST_CPU = 0.6

const COLUMNS: readonly (readonly [head: string, of: (result: RunResult) => number, digits: number])[] = [
  ['answer', ({ meanSeconds }) => meanSeconds, 2],
  ['p99', ({ p99Seconds }) => p99Seconds, 1],
  ['first', ({ firstSeconds }) => firstSeconds, 3],
  ['p99', ({ firstP99Seconds }) => firstP99Seconds, 2],
  ['hits %', ({ hitRate }) => 100 * hitRate, 1],
  ['busy %', ({ busy }) => 100 * busy, 0],
  ['most %', ({ busiest }) => 100 * busiest, 0],
  ['running', ({ running }) => running, 1],
  ['waited', ({ mostWaiting }) => mostWaiting, 0],
  ['failed', ({ failed }) => failed, 0],
  ['CPU %', ({ machineCpu }) => 100 * machineCpu, 0],
  ['own %', ({ benchCpu }) => 100 * benchCpu, 0],
  ['its %', ({ contenderCpu }) => 100 * contenderCpu, 0],
]

/** Means over seeds, one line for each contender; then the goals, and what casts doubt on the figures. */
export function report(workload: WorkloadName, results: Results): string[] {
  const lines = [
    row(
      '',
      COLUMNS.map(([head]) => head),
    ),
  ]
  for (const [name, runs] of results) {
    lines.push(
      row(
        name,
        COLUMNS.map(([, of, digits]) => mean(runs, of).toFixed(digits)),
      ),
      ...doubts(runs),
    )
  }
  return [...lines, ...goals(workload, results)].map((line) => `  ${line}`)
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(18) + cells.map((cell) => cell.padStart(8)).join('')
}

function mean(runs: readonly RunResult[], of: (result: RunResult) => number): number {
  return runs.reduce((sum, run) => sum + of(run), 0) / runs.length
}

function doubts(runs: readonly RunResult[]): string[] {
  const unended = runs.reduce((sum, run) => sum + run.unended, 0)
  const requests = runs.reduce((sum, run) => sum + run.requests, 0)
  const cpu = Math.max(...runs.map(({ machineCpu }) => machineCpu))
  const [failure] = runs.flatMap(({ failures }) => failures)
  return [
    ...(unended > 0 ? [`    ${unended} of ${requests} answers had not ended: times are at least these`] : []),
    ...(cpu > MOST_CPU ? [`    the machine was ${(100 * cpu).toFixed(0)} % busy: times are its own too`] : []),
    ...(failure === undefined ? [] : [`    failed, for example: ${failure}`]),
  ]
}

function goals(workload: WorkloadName, results: Results): string[] {
  const lines: string[] = []
  for (const { what, of, against, ratio } of goalsOf(workload)) {
    const others = results.get(against)
    const ours = results.get('gateway')?.slice(0, others?.length)
    if (!ours || !others) continue
    const reached = mean(ours, of) / mean(others, of)
    const bySeed = ours.map((run, i) => of(run) / of(others[i]!))
    const range = bySeed.length > 1 ? ` (${Math.min(...bySeed).toFixed(2)} to ${Math.max(...bySeed).toFixed(2)})` : ''
    const gap = Math.abs(reached - ratio).toFixed(2)
    const verdict = reached <= ratio ? `met by ${gap}` : `MISSED by ${gap}`
    lines.push(`${`${what}, × ${against}:`.padEnd(36)}${reached.toFixed(2)}${range}, goal ≤ ${ratio}: ${verdict}`)
  }
  return lines
}
