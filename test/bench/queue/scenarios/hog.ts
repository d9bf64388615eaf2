import { setTimeout as sleep } from 'node:timers/promises'
import type { Sent } from '../client.ts'
import type { ContenderName } from '../contenders.ts'
import { FLEETS, meanTokens, type FleetName } from '../engines.ts'
import { valuesOf, type Figure } from '../figures.ts'
import { askInTurn, keepInFlight } from '../loads.ts'
import { sideBySide, type Measured, type Side } from '../rig.ts'
import { among, WARM_UP_MS, type Options, type Scenario } from '../scenario.ts'
import { mean, quantile, sum } from '../statistics.ts'

const SERVICE_MS = 300
const HOG = 0
const HOG_IN_FLIGHT = 64
const LIGHT_CALLERS = 9
/**
 * Between two requests of a light caller: each asks for a tenth of a slot, all of them for a quarter of the single engine. With pauses of
 * three services they ask for more than half of it, and wait for each other.
 */
const PAUSE_MS = 9 * SERVICE_MS

/** Most of a light caller's p99 wait, in mean services. */
const GOALS: readonly (readonly [FleetName, number])[] = [
  ['unlike', 1],
  ['single', 1.6],
]

/** One caller with many requests at once beside callers with one at a time. */
export const hog: Scenario = {
  name: 'hog',
  title: `one caller with ${HOG_IN_FLIGHT} requests in flight, ${LIGHT_CALLERS} with one at a time; waits in mean services`,
  async run(options) {
    const figures: Figure[] = []
    const cpu: number[] = []
    for (const [fleet, goal] of GOALS) {
      const parts: Measured<readonly Sent[]>[] = []
      for (const seed of options.seeds) parts.push(await measure(fleet, seed, options))
      cpu.push(...parts.map((part) => part.cpu))
      const runs = new Map(
        [...parts[0]!.of.keys()].map((name) => [name, parts.flatMap(({ of }) => of.get(name) ?? [])] as const),
      )
      figures.push(...figuresOf(fleet, goal, runs))
    }
    return { figures, cpu }
  },
}

function measure(fleet: FleetName, seed: number, options: Options): Promise<Measured<readonly Sent[]>> {
  const callers = Array.from({ length: 1 + LIGHT_CALLERS }, () => ({}))
  const contenders = among(options, 'gateway', 'metrics', 'no queue', 'smg')
  return sideBySide({ fleet, contenders, callers }, async (side) => {
    startCallers(side, fleet, seed)
    await sleep(WARM_UP_MS)
    const from = performance.now()
    await sleep(options.seconds * 1000)
    // By their ends: a request that began within the run and waits for longer than it would be left out.
    return side.client.sent.filter(({ endAt }) => endAt >= from)
  })
}

function startCallers(side: Side, fleet: FleetName, seed: number): void {
  const tokens = meanTokens(FLEETS[fleet], SERVICE_MS)
  keepInFlight(side, { caller: HOG, seed, meanTokens: tokens }, HOG_IN_FLIGHT)
  for (let caller = 1; caller <= LIGHT_CALLERS; caller++) {
    void askInTurn(side, { caller, seed, meanTokens: tokens, pauseMs: PAUSE_MS })
  }
}

function figuresOf(fleet: FleetName, most: number, runs: ReadonlyMap<ContenderName, readonly Sent[]>): Figure[] {
  const waits = (sent: readonly Sent[]): number[] =>
    sent
      .filter(({ caller, end }) => caller !== HOG && end === 'answered')
      .map(({ at, endAt, serviceMs }) => (endAt - at - serviceMs) / SERVICE_MS)
  const scenario = `hog, ${fleet}`
  return [
    {
      ...{ scenario, what: 'light callers: p99 wait', goal: { most } },
      ...{ goalOf: ['gateway', 'metrics'], values: valuesOf(runs, (sent) => quantile(waits(sent), 0.99)) },
    },
    { scenario, what: 'light callers: mean wait', values: valuesOf(runs, (sent) => mean(waits(sent))) },
    { scenario, what: 'light callers: answers', digits: 0, values: valuesOf(runs, (sent) => waits(sent).length) },
    {
      ...{ scenario, what: 'work done, of the first' },
      values: valuesOf(runs, (sent) => work(sent) / work([...runs.values()][0]!)),
    },
    {
      ...{ scenario, what: 'failures', digits: 0, goal: { most: 0 } },
      values: valuesOf(runs, (sent) => sent.filter(({ end }) => end !== 'answered').length),
    },
  ]
}

function work(sent: readonly Sent[]): number {
  return sum(sent.filter(({ end }) => end === 'answered').map(({ tokens }) => tokens))
}
