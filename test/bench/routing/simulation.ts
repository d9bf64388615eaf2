/** Prints what the policies do in the usual scenarios: `node test/bench/routing/simulation.ts [seeds] [policy ...]`. */
import type { SimulatedPolicy } from '../../kit/routingSimulation/gateway.ts'
import { simulate, type Scenario } from '../../kit/routingSimulation/simulation.ts'

const SCENARIOS: Readonly<Record<string, Partial<Scenario>>> = {
  '85 % busy, one-step': {},
  '95 % busy, one-step': { utilisation: 0.95 },
  '85 %, half look up': { lookUpShare: 0.5 },
  '85 %, all look up': { lookUpShare: 1 },
  '85 %, half look up, 30 % from outside': { lookUpShare: 0.5, outsideShare: 0.3 },
  'like nodes, one-step': { alike: true },
  'like nodes, all look up': { alike: true, lookUpShare: 1 },
  '100 nodes, one-step': { nodes: 100, measuredSeconds: 400 },
  '100 nodes, all look up': { nodes: 100, measuredSeconds: 400, lookUpShare: 1 },
  'four gateways, one-step': { gateways: 4 },
}

const [seeds = '6', ...policies] = process.argv.slice(2)
const contenders = (
  policies.length > 0 ? policies : ['least-pending', 'least-in-flight', 'two-random', 'score', 'all-knowing']
) as SimulatedPolicy[]

/** Mean and 99th percentile of the response times, seconds, over all seeds. */
function cell(scenario: Partial<Scenario>, policy: SimulatedPolicy): string {
  const common = { nodes: 20, utilisation: 0.85, lookUpShare: 0, policy }
  const results = Array.from({ length: Number(seeds) }, (_, index) =>
    simulate({ ...common, seed: index + 1, ...scenario }),
  )
  const mean = results.reduce((sum, result) => sum + result.meanSeconds, 0) / results.length
  const p99 = results.reduce((sum, result) => sum + result.p99Seconds, 0) / results.length
  return `${mean.toFixed(2)} (${p99.toFixed(0)})`
}

process.stdout.write(`${'mean (p99), seconds'.padEnd(40)}${contenders.map((name) => name.padEnd(18)).join('')}\n`)
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  const cells = contenders.map((policy) => cell(scenario, policy).padEnd(18))
  process.stdout.write(`${name.padEnd(40)}${cells.join('')}\n`)
}
