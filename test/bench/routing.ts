/**
 * How long jobs take with one way or another to choose a node, over real sockets, with the same seeded arrivals for each.
 * All times are a tenth of the design's: a mean job takes 100 ms on the fastest node, nodes are polled every 3 s.
 */
import { parseArgs } from 'node:util'
import { isInstalled, type ContenderName } from './routing/contenders.ts'
import { refusalTrials, runRefusalTrial } from './routing/refusals.ts'
import { runOnce, type RunResult } from './routing/run.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'
import { redisMissing } from '../kit/redisServer.ts'
import { trials, type Timing, type Trial } from './routing/scenarios.ts'

const NAMES: Partial<Record<ContenderName, string>> = {
  score: 'gateway',
  'without kinds': 'gateway without kinds',
  'least-in-flight': 'least in flight',
  'least-pending': 'least pending as polled',
  'two-random': 'random of two',
  'round-robin': 'round robin',
  oracle: 'picker that knows the truth',
}

const USAGE = `npm run bench:routing -- [option …]
  (none)          all scenarios, 60 s measured after 40 s, three seeds
  --quick         R1 and R2, one seed, in under three minutes
  --only R1,B2    only scenarios that begin so; B1 to B4 are backends that answer badly, in real time
  --against a,b   only these contenders beside the gateway: ${Object.keys(NAMES).slice(1).join(', ')},
                  haproxy leastconn, nginx least_conn
  --seeds N       seeds (3)
  --nodes N       nodes (20)
  --tell          tells the gateway each node's concurrency, as an operator may
  --warm-up S --measure S`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
    seeds: { type: 'string' },
    nodes: { type: 'string', default: '20' },
    'warm-up': { type: 'string' },
    measure: { type: 'string' },
    tell: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(USAGE)
  const timing: Timing = {
    warmUpSeconds: Number(values['warm-up'] ?? (values.quick ? 10 : 40)),
    measuredSeconds: Number(values.measure ?? (values.quick ? 15 : 60)),
    drainSeconds: values.quick ? 5 : 15,
  }
  const seeds = Array.from({ length: Number(values.seeds ?? (values.quick ? 1 : 3)) }, (_, i) => i + 1)
  const only = values.only?.split(',') ?? (values.quick ? ['R1', 'R2'] : [''])
  for (const trial of trials(Number(values.nodes), values.tell)) {
    if (only.some((id) => trial.id.startsWith(id))) await report(trial, timing, seeds)
  }
  for (const trial of refusalTrials()) {
    if (!only.some((id) => trial.id.startsWith(id))) continue
    console.log(`\n${trial.id}: ${trial.title}`)
    console.log(`  ${await runRefusalTrial(trial, values.quick)}`)
  }
}

async function report(trial: Trial, timing: Timing, seeds: readonly number[]): Promise<void> {
  console.log(`\n${trial.id}: ${trial.title} (${trial.scenario.nodes} nodes)`)
  if (trial.scenario.sharesRedis && redisMissing) return console.log(`  ${redisMissing}`)
  console.log(
    `  ${'s'.padEnd(29)}${['mean', 'p50', 'p95', 'p99', '× mean', '× p99'].map((head) => head.padStart(9)).join('')}`,
  )
  let ours: RunResult[] = []
  const once = values.quick ? [] : trial.once
  const asked = values.against?.split(',')
  const isAsked = (name: ContenderName): boolean => name === 'score' || (asked?.includes(name) ?? true)
  for (const name of [...trial.main, ...once].filter(isAsked)) {
    if (!isInstalled(name)) {
      console.log(`  ${name.padEnd(29)} not installed`)
      continue
    }
    const results: RunResult[] = []
    for (const seed of trial.main.includes(name) ? seeds : seeds.slice(0, 1)) {
      results.push(await runOnce(name, trial.scenario, timing, seed))
    }
    if (name === 'score') ours = results
    console.log(row(name, results, ours.slice(0, results.length)))
    console.log(notes(results))
  }
}

const mean = (results: readonly RunResult[], of: (result: RunResult) => number): number =>
  results.reduce((sum, result) => sum + of(result), 0) / results.length

function row(name: ContenderName, results: readonly RunResult[], ours: readonly RunResult[]): string {
  const [m, p99] = [mean(results, (r) => r.meanSeconds), mean(results, (r) => r.p99Seconds)]
  const figures = [m, mean(results, (r) => r.p50Seconds), mean(results, (r) => r.p95Seconds), p99]
  const ratios = [mean(ours, (r) => r.meanSeconds) / m, mean(ours, (r) => r.p99Seconds) / p99]
  return `  ${(NAMES[name] ?? name).padEnd(29)}${[...figures, ...ratios].map((value) => value.toFixed(3).padStart(9)).join('')}`
}

function notes(results: readonly RunResult[]): string {
  const means = results.map((r) => r.meanSeconds)
  const parts = [
    `${results.reduce((sum, r) => sum + r.jobs, 0)} jobs`,
    ...(results.length > 1
      ? [`means ${Math.min(...means).toFixed(3)}–${Math.max(...means).toFixed(3)} over seeds`]
      : []),
    `CPU ${(100 * mean(results, (r) => r.contenderCpu)).toFixed(0)} % + ${(100 * mean(results, (r) => r.benchCpu)).toFixed(0)} %`,
  ]
  const unended = results.reduce((sum, r) => sum + r.unended, 0)
  const failed = results.reduce((sum, r) => sum + r.failed, 0)
  const hole = Math.max(...results.map((r) => r.blackHoleShare))
  const pileUp = Math.max(...results.map((r) => r.worstPileUp))
  if (unended > 0) parts.push(`${unended} not done in time (times are at least these)`)
  const failedOneStep = results.reduce((sum, r) => sum + r.failedOneStep, 0)
  if (failed > 0) parts.push(`${failed} failed, ${failedOneStep} of them of one-step clients`)
  if (hole > 0) parts.push(`black hole got ${(100 * hole).toFixed(2)} % of attempts`)
  if (pileUp > 0) parts.push(`pending/c on joining nodes at most ${pileUp.toFixed(1)}`)
  return `    ${parts.join(', ')}`
}

// What was started ends with this process.
endOnSignal(() => {})
await main()
