import type { Sent } from '../client.ts'
import { FLEETS, meanTokens, slotsOf } from '../engines.ts'
import { valuesOf } from '../figures.ts'
import { offer, poissonArrivals } from '../loads.ts'
import { sideBySide, untilAnswered } from '../rig.ts'
import { among, WARM_UP_MS, type Scenario } from '../scenario.ts'
import { quantile, sum } from '../statistics.ts'

const FLEET = 'pair'
const SERVICE_MS = 400
const CALLERS = 20
/** Of what the engines can do. */
const OVERLOAD = 3
const NORMAL_LOAD = 0.5
/** Clients leave after this. */
const PATIENCE_MS = 10_000
/** Goodput counts from here on: before, even a first-in, first-out queue is still short. */
const FILL_MS = 12_000
const AFTER_MS = 20_000

/** Normal is a second in which this share of requests waited for less than one mean service. */
const NORMAL_SHARE = 0.9
const NORMAL_SECONDS = 3

/** More than the engines can do, by clients with limited patience; then half of it. */
export const overload: Scenario = {
  name: 'overload',
  title: `${OVERLOAD} × capacity, clients leave after ${PATIENCE_MS / 1000} s; then ${100 * NORMAL_LOAD} %`,
  async run(options) {
    const [seed] = options.seeds
    const tokens = meanTokens(FLEETS[FLEET], SERVICE_MS)
    const capacity = slotsOf(FLEETS[FLEET]) / SERVICE_MS
    const fallAt = WARM_UP_MS + FILL_MS + options.seconds * 1000
    const endAt = fallAt + AFTER_MS
    const part = (of: number, load: number, fromMs: number, toMs: number): ReturnType<typeof poissonArrivals> =>
      poissonArrivals({
        ...{ seed: seed! + of, callers: CALLERS, rate: load * capacity },
        ...{ fromMs, toMs, meanTokens: tokens },
      })
    const arrivals = [
      ...part(0, NORMAL_LOAD, 0, WARM_UP_MS),
      ...part(1, OVERLOAD, WARM_UP_MS, fallAt),
      ...part(2, NORMAL_LOAD, fallAt, endAt),
    ]
    const callers = Array.from({ length: CALLERS }, () => ({}))
    const contenders = among(options, 'gateway', 'no queue', 'smg')
    const { of, cpu } = await sideBySide({ fleet: FLEET, contenders, callers }, async (side) => {
      const startedAt = performance.now()
      await offer(side, arrivals, startedAt, PATIENCE_MS)
      await untilAnswered(side, PATIENCE_MS)
      return { startedAt, sent: [...side.client.sent] }
    })
    const from = WARM_UP_MS + FILL_MS
    return {
      cpu: [cpu],
      figures: [
        {
          ...{ scenario: 'overload', what: 'goodput over capacity', goal: { least: 0.9 } },
          values: valuesOf(of, ({ sent, startedAt }) => goodput(sent, startedAt + from, startedAt + fallAt)),
        },
        {
          ...{ scenario: 'overload', what: 'p99 of answers in it, s' },
          values: valuesOf(of, ({ sent, startedAt }) => {
            const seen = sent.filter(
              ({ end, endAt: at }) => end === 'answered' && at >= startedAt + from && at < startedAt + fallAt,
            )
            return quantile(
              seen.map(({ at, endAt: end }) => (end - at) / 1000),
              0.99,
            )
          }),
        },
        {
          ...{ scenario: 'overload', what: 'normal again after, s', digits: 0, goal: { most: 5 } },
          values: valuesOf(of, ({ sent, startedAt }) => recoverySeconds(sent, startedAt + fallAt)),
        },
        {
          ...{ scenario: 'overload', what: 'refused before the end', digits: 0 },
          values: valuesOf(of, ({ sent }) => sent.filter(({ end }) => end === 'refused').length),
        },
      ],
    }
  },
}

/** Service of the answers that came in time, over what the slots could give. */
function goodput(sent: readonly Sent[], from: number, to: number): number {
  const answers = sent.filter(({ end, endAt }) => end === 'answered' && endAt >= from && endAt < to)
  return sum(answers.map(({ serviceMs }) => serviceMs)) / (slotsOf(FLEETS[FLEET]) * (to - from))
}

/** Seconds from the fall of the load to the first of some seconds in a row that are normal; `Infinity` where there are none. */
function recoverySeconds(sent: readonly Sent[], fallAt: number): number {
  const isNormal = (second: number): boolean => {
    const from = fallAt + 1000 * second
    const those = sent.filter(({ at }) => at >= from && at < from + 1000)
    const good = those.filter(
      ({ at, endAt, serviceMs, end }) => end === 'answered' && endAt - at - serviceMs < SERVICE_MS,
    )
    return good.length >= NORMAL_SHARE * those.length
  }
  for (let second = 0; second + NORMAL_SECONDS <= AFTER_MS / 1000; second++) {
    if (Array.from({ length: NORMAL_SECONDS }, (_, i) => second + i).every(isNormal)) return second
  }
  return Infinity
}
