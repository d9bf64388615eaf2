/**
 * What waiting in the gateway is good for, and what it costs: engines with few slots, as processes, over real sockets. Contenders
 * run side by side, each with engines of its own, and get the same seeded requests.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { CONTENDERS, isInstalled, type ContenderName } from './queue/contenders.ts'
import type { Figure } from './queue/figures.ts'
import { MOST_CPU } from './queue/machine.ts'
import { table } from './queue/report.ts'
import type { Options, Scenario } from './queue/scenario.ts'
import { bursts } from './queue/scenarios/bursts.ts'
import { hog } from './queue/scenarios/hog.ts'
import { normal } from './queue/scenarios/normal.ts'
import { overload } from './queue/scenarios/overload.ts'
import { restart } from './queue/scenarios/restart.ts'
import { retryAfter } from './queue/scenarios/retryAfter.ts'
import { priorities, weights } from './queue/scenarios/shares.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'

const SCENARIOS: readonly Scenario[] = [hog, overload, weights, priorities, bursts, restart, normal, retryAfter]

const USAGE = `npm run bench:queue -- [option …]
  (none)            all scenarios, two seeds, in about 13 minutes
  --only a,b        only these scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --against a,b     only these contenders beside the gateway: ${CONTENDERS.slice(1).join(', ')};
                    none: the gateway alone. SMG names the command of smg where it is not on the PATH
  --seeds N         seeds (2)
  --seconds S       seconds measured in each part of a scenario (25)
  --json FILE       writes all figures there too`

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    against: { type: 'string' },
    seeds: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '25' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(USAGE)
  const options: Options = {
    seconds: Number(values.seconds),
    seeds: Array.from({ length: Number(values.seeds) }, (_, i) => i + 1),
    contenders: contenders(),
  }
  const only = values.only?.split(',')
  const figures: Figure[] = []
  const cpu: Record<string, readonly number[]> = {}
  for (const scenario of SCENARIOS) {
    if (only && !only.includes(scenario.name)) continue
    console.log(`${scenario.name}: ${scenario.title}`)
    const outcome = await scenario.run(options)
    figures.push(...outcome.figures)
    cpu[scenario.name] = outcome.cpu
    console.log(`${table(outcome.figures)}\n${cpuLine(outcome.cpu)}\n`)
  }
  console.log(table(figures))
  if (values.json) await writeFile(values.json, JSON.stringify({ options, figures, cpu }, undefined, 2))
}

function contenders(): ContenderName[] {
  const against = values.against?.split(',')
  return CONTENDERS.filter((name) => {
    if (name === 'gateway') return true
    if (against && !against.includes(name)) return false
    if (isInstalled(name)) return true
    console.log(`${name} is not installed`)
    return false
  })
}

function cpuLine(cpu: readonly number[]): string {
  const most = Math.max(...cpu)
  const warning = most > MOST_CPU ? '; too much: waits are those of the machine too' : ''
  return `the machine was ${cpu.map((share) => (100 * share).toFixed(0)).join(', ')} % busy${warning}`
}

// What was started ends with this process.
endOnSignal(() => {})
await main()
