/**
 * How long answers take with one way or another to choose an engine, where engines cache the beginnings of prompts: over real
 * sockets, with the same seeded conversations for each. Engines are simulated; ten of their seconds take one by default.
 */
import { parseArgs } from 'node:util'
import { isInstalled, type ContenderName } from './cache/contenders.ts'
import { Fleet } from './cache/fleet.ts'
import { GATEWAYS } from './cache/gateways.ts'
import { report } from './cache/report.ts'
import { runOnce, type RunResult, type Timing } from './cache/run.ts'
import { WORKLOADS, type Workload } from './cache/workloads.ts'
import { Cleanups } from '../kit/cleanups.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'

/** Run for every seed. */
const MAIN: readonly ContenderName[] = ['gateway', 'without index', 'smg']
/** Run once. */
const ONCE: readonly ContenderName[] = ['old score', 'least in flight']

const USAGE = `npm run bench:cache -- [option …]
  (none)            all workloads, three seeds, 15 s each, in about 20 minutes
  --only a,b        only these workloads: ${WORKLOADS.map(({ name }) => name).join(', ')}
  --against a,b     only these contenders beside the gateway: ${[...Object.keys(GATEWAYS).slice(1), 'smg'].join(', ')};
                    none: the gateway alone. SMG names the command of smg where it is not on the PATH
  --seeds N         seeds (3)
  --seconds S       seconds measured (11), after a third as much to warm up
  --engines N       engines (8)
  --load F          times the usual load (1)
  --scale F         real seconds of a simulated one (0.1); more where the machine is slow or busy`

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    against: { type: 'string' },
    seeds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '11' },
    engines: { type: 'string', default: '8' },
    load: { type: 'string', default: '1' },
    scale: { type: 'string', default: '0.1' },
    help: { type: 'boolean', default: false },
  },
})

const cleanups = new Cleanups()

async function main(): Promise<void> {
  if (values.help) return console.log(USAGE)
  const measuredSeconds = Number(values.seconds)
  const timing = { warmUpSeconds: 4 * (measuredSeconds / 11), measuredSeconds, drainSeconds: 4 }
  const only = values.only?.split(',')
  const fleet = await Fleet.start(Number(values.engines), Number(values.scale), cleanups)
  const names = contenders()
  for (const workload of WORKLOADS) {
    if (only && !only.includes(workload.name)) continue
    console.log(`\n${workload.title} (${workload.name}), ${fleet.engines.length} engines; simulated seconds`)
    const results = await resultsOf(workload, names, fleet, timing)
    console.log(report(workload.name, results).join('\n'))
  }
}

function contenders(): ContenderName[] {
  const against = values.against?.split(',')
  return [...MAIN, ...ONCE].filter((name) => {
    if (name === 'gateway') return true
    if (against && !against.includes(name)) return false
    if (isInstalled(name)) return true
    console.log(`${name} is not installed`)
    return false
  })
}

/** Contenders take turns, seed after seed. */
async function resultsOf(
  workload: Workload,
  names: readonly ContenderName[],
  fleet: Fleet,
  timing: Timing,
): Promise<Map<ContenderName, RunResult[]>> {
  const results = new Map<ContenderName, RunResult[]>(names.map((name) => [name, []]))
  const load = { ...workload, load: workload.load * Number(values.load) }
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    for (const name of names) {
      if (seed > 1 && ONCE.includes(name)) continue
      results.get(name)?.push(await runOnce(name, load, { fleet, timing, seed }))
    }
  }
  return results
}

// What was started ends with this process.
endOnSignal(() => cleanups.run())
try {
  await main()
} finally {
  await cleanups.run()
}
