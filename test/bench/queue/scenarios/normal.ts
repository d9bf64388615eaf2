import { FLEETS, meanTokens, slotsOf, type FleetName } from '../engines.ts'
import type { Figure } from '../figures.ts'
import { offer, poissonArrivals } from '../loads.ts'
import { ratioFigures, timesOf, type Times } from '../responseTimes.ts'
import { sideBySide, untilAnswered, type Measured } from '../rig.ts'
import { among, WARM_UP_MS, type Options, type Scenario } from '../scenario.ts'

const SERVICE_MS = 300
const CALLERS = 10
const LOADS = [0.5, 0.7, 0.85]
const GOALS = { mean: { most: 1.02 }, p99: { most: 1.07 } }
const DRAIN_MS = 15_000

/** Loads that the engines can bear: the queue must cost nothing. */
export const normal: Scenario = {
  name: 'normal',
  title: `Poisson arrivals at ${LOADS.map((load) => 100 * load).join(', ')} % of the capacity, with and without the queue`,
  async run(options) {
    const figures: Figure[] = []
    const cpu: number[] = []
    for (const fleet of ['alike', 'unlike'] as const) {
      for (const load of LOADS) {
        const rounds: Measured<Times>[] = []
        for (const seed of options.seeds) rounds.push(await measure(fleet, load, seed, options))
        cpu.push(...rounds.map((round) => round.cpu))
        figures.push(
          ...ratioFigures(
            `normal, ${fleet}, ${100 * load} %`,
            rounds.map(({ of }) => of),
            GOALS,
          ),
        )
      }
    }
    return { figures, cpu }
  },
}

function measure(fleet: FleetName, load: number, seed: number, options: Options): Promise<Measured<Times>> {
  const shape = FLEETS[fleet]
  const arrivals = poissonArrivals({
    ...{ seed, callers: CALLERS, rate: (load * slotsOf(shape)) / SERVICE_MS },
    ...{ fromMs: 0, toMs: WARM_UP_MS + 1000 * options.seconds, meanTokens: meanTokens(shape, SERVICE_MS) },
  })
  const callers = Array.from({ length: CALLERS }, () => ({}))
  const contenders = among(options, 'gateway', 'no queue', 'metrics', 'metrics, no queue', 'smg')
  return sideBySide({ fleet, contenders, callers }, async (side) => {
    const startedAt = performance.now()
    await offer(side, arrivals, startedAt)
    await untilAnswered(side, DRAIN_MS)
    return timesOf(side.client.sent.filter(({ at }) => at >= startedAt + WARM_UP_MS))
  })
}
