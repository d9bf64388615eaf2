import { setTimeout as sleep } from 'node:timers/promises'
import type { Caller } from '../client.ts'
import { FLEETS, meanTokens } from '../engines.ts'
import { valuesOf, type Figure } from '../figures.ts'
import { keepInFlight } from '../loads.ts'
import { sideBySide, type Measured } from '../rig.ts'
import { among, WARM_UP_MS, type Options, type Scenario } from '../scenario.ts'
import { jain, sum, worstShareGap } from '../statistics.ts'

const FLEET = 'alike'
const SERVICE_MS = 300
/** Greatest difference between a share and the share that is due. */
const MOST_GAP = 0.03

interface BusyCaller extends Caller {
  readonly inFlight: number
}

const WEIGHTS = [1, 2, 4]
const WEIGHTED: readonly BusyCaller[] = WEIGHTS.map((weight) => ({ weight, inFlight: 30 }))
/** Alike, but for how much they ask for at once. */
const ALIKE: readonly BusyCaller[] = [4, 8, 12, 16, 20, 24, 28, 32].map((inFlight) => ({ inFlight }))
const PRIORITIES = ['high', 'normal', 'low'] as const
const PRIORITY_SHARES = [60, 30, 10]
/** Two callers of each. */
const OF_PRIORITIES: readonly BusyCaller[] = PRIORITIES.flatMap((priority) => [
  { priority, inFlight: 20 },
  { priority, inFlight: 20 },
])

/** Callers of different weights that always want more than they get, and callers alike. */
export const weights: Scenario = {
  name: 'weights',
  title: `callers of weight ${WEIGHTS.join(' : ')}, then like callers with 4 to 32 requests in flight`,
  async run(options) {
    const weighted = await workOf(WEIGHTED, options)
    const alike = await workOf(ALIKE, options)
    return {
      cpu: [weighted.cpu, alike.cpu],
      figures: [
        {
          ...{ scenario: 'weights', what: 'worst gap from a due share', goal: { most: MOST_GAP }, digits: 3 },
          values: valuesOf(weighted.of, (work) => worstShareGap(work, WEIGHTS)),
        },
        ...sharesOf('weights', weighted, (caller) => `weight ${WEIGHTS[caller]}`),
        {
          ...{ scenario: 'like callers', what: "Jain's index of their work", goal: { least: 0.98 }, digits: 3 },
          values: valuesOf(alike.of, jain),
        },
      ],
    }
  },
}

/** Callers of each priority that always want more than they get. */
export const priorities: Scenario = {
  name: 'priorities',
  title: `two callers each of priority ${PRIORITIES.join(', ')}; due shares ${PRIORITY_SHARES.join(' : ')}`,
  async run(options) {
    const each = await workOf(OF_PRIORITIES, options)
    const byPriority = new Map(
      [...each.of].map(([name, work]) => [name, PRIORITIES.map((_, i) => work[2 * i]! + work[2 * i + 1]!)] as const),
    )
    return {
      cpu: [each.cpu],
      figures: [
        {
          ...{ scenario: 'priorities', what: 'worst gap from a due share', goal: { most: MOST_GAP }, digits: 3 },
          values: valuesOf(byPriority, (work) => worstShareGap(work, PRIORITY_SHARES)),
        },
        ...sharesOf('priorities', { of: byPriority, cpu: each.cpu }, (i) => PRIORITIES[i]!),
      ],
    }
  },
}

/** Tokens that each caller got, while all of them always had requests waiting. */
function workOf(callers: readonly BusyCaller[], options: Options): Promise<Measured<readonly number[]>> {
  const contenders = among(options, 'gateway', 'no queue', 'smg')
  const rules = callers.map(({ inFlight: _, ...rule }) => rule)
  return sideBySide({ fleet: FLEET, contenders, callers: rules }, async (side) => {
    const tokens = meanTokens(FLEETS[FLEET], SERVICE_MS)
    for (const [caller, { inFlight }] of callers.entries()) {
      keepInFlight(side, { caller, seed: options.seeds[0]!, meanTokens: tokens }, inFlight)
    }
    await sleep(WARM_UP_MS)
    const from = performance.now()
    await sleep(options.seconds * 1000)
    const answers = side.client.sent.filter(({ end, endAt }) => end === 'answered' && endAt >= from)
    return callers.map((_, caller) => sum(answers.filter((each) => each.caller === caller).map((each) => each.tokens)))
  })
}

function sharesOf(scenario: string, { of }: Measured<readonly number[]>, nameOf: (index: number) => string): Figure[] {
  const [first = []] = of.values()
  return first.map((_, i) => ({
    ...{ scenario, what: `share of ${nameOf(i)}`, digits: 3 },
    values: valuesOf(of, (work) => work[i]! / sum(work)),
  }))
}
