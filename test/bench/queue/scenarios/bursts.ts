import { FLEETS, meanTokens, slotsOf, type FleetName } from '../engines.ts'
import type { Figure } from '../figures.ts'
import { offer, randomOf, tokensOf, type Arrival } from '../loads.ts'
import { ratioFigures, timesOf, type Times } from '../responseTimes.ts'
import { sideBySide, untilAnswered, type Measured } from '../rig.ts'
import { among, WARM_UP_MS, type Options, type Scenario } from '../scenario.ts'

const CALLERS = 10
const BURST = 50
const EVERY_MS = 1000
const LOAD = 0.6
const DRAIN_MS = 15_000

/** Requests that all come at once, more than there are slots, and then none for a while. */
export const bursts: Scenario = {
  name: 'bursts',
  title: `${BURST} requests at once each second, ${100 * LOAD} % busy in the mean`,
  async run(options) {
    const figures: Figure[] = []
    const cpu: number[] = []
    for (const fleet of ['eight', 'unlike eight'] as const) {
      const rounds: Measured<Times>[] = []
      for (const seed of options.seeds) rounds.push(await measure(fleet, seed, options))
      cpu.push(...rounds.map((round) => round.cpu))
      figures.push(
        ...ratioFigures(
          `bursts, ${fleet}`,
          rounds.map(({ of }) => of),
        ),
      )
    }
    return { figures, cpu }
  },
}

function measure(fleet: FleetName, seed: number, options: Options): Promise<Measured<Times>> {
  const shape = FLEETS[fleet]
  const random = randomOf(seed, 0)
  const tokens = meanTokens(shape, (LOAD * slotsOf(shape) * EVERY_MS) / BURST)
  const arrivals: Arrival[] = []
  for (let at = 0; at < WARM_UP_MS + 1000 * options.seconds; at += EVERY_MS) {
    for (let i = 0; i < BURST; i++) arrivals.push({ at, caller: i % CALLERS, tokens: tokensOf(random, tokens) })
  }
  const callers = Array.from({ length: CALLERS }, () => ({}))
  const contenders = among(options, 'gateway', 'no queue', 'smg')
  return sideBySide({ fleet, contenders, callers }, async (side) => {
    const startedAt = performance.now()
    await offer(side, arrivals, startedAt)
    await untilAnswered(side, DRAIN_MS)
    return timesOf(side.client.sent.filter(({ at }) => at >= startedAt + WARM_UP_MS))
  })
}
