import { setTimeout as sleep } from 'node:timers/promises'
import { FLEETS, meanTokens, slotsOf } from '../engines.ts'
import { valuesOf } from '../figures.ts'
import { offer, poissonArrivals } from '../loads.ts'
import { sideBySide, untilAnswered } from '../rig.ts'
import { among, WARM_UP_MS, type Scenario } from '../scenario.ts'

const FLEET = 'single'
const SERVICE_MS = 300
const CALLERS = 10
const LOAD = 0.6
const DEAD_MS = 5000
const AFTER_MS = 10_000
const DRAIN_MS = 20_000

/** The only engine dies with requests on it, and is back before anyone has waited for long. */
export const restart: Scenario = {
  name: 'restart',
  title: `the only engine is killed at ${100 * LOAD} % load and is back after ${DEAD_MS / 1000} s`,
  async run(options) {
    const shape = FLEETS[FLEET]
    const arrivals = poissonArrivals({
      ...{ seed: options.seeds[0]!, callers: CALLERS, rate: (LOAD * slotsOf(shape)) / SERVICE_MS, fromMs: 0 },
      ...{ toMs: WARM_UP_MS + DEAD_MS + AFTER_MS, meanTokens: meanTokens(shape, SERVICE_MS) },
    })
    const callers = Array.from({ length: CALLERS }, () => ({}))
    const contenders = among(options, 'gateway', 'no queue', 'smg')
    const { of, cpu } = await sideBySide({ fleet: FLEET, contenders, callers }, async (side) => {
      const offered = offer(side, arrivals, performance.now())
      await sleep(WARM_UP_MS)
      await side.engines.kill()
      await sleep(DEAD_MS)
      await side.engines.start()
      const backAt = performance.now()
      await offered
      await untilAnswered(side, DRAIN_MS)
      const answers = side.client.sent.filter(({ end }) => end === 'answered')
      const soonest = Math.min(...answers.filter(({ endAt }) => endAt > backAt).map(({ endAt }) => endAt))
      const errors = side.client.sent.filter(({ end }) => end !== 'answered')
      for (const { why } of errors.slice(0, 1)) console.log(`  ${side.name}, for example: ${why}`)
      return { errors: errors.length + side.client.open, firstSeconds: (soonest - backAt) / 1000 }
    })
    return {
      cpu: [cpu],
      figures: [
        {
          ...{ scenario: 'restart', what: `errors of ${arrivals.length}`, digits: 0, goal: { most: 0 } },
          values: valuesOf(of, ({ errors }) => errors),
        },
        {
          ...{ scenario: 'restart', what: 'first answer after its return, s' },
          values: valuesOf(of, ({ firstSeconds }) => firstSeconds),
        },
      ],
    }
  },
}
