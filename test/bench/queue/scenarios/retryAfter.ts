import { setTimeout as sleep } from 'node:timers/promises'
import { exponential } from '../../routing/random.ts'
import type { ContenderName } from '../contenders.ts'
import { FLEETS, meanTokens, slotsOf } from '../engines.ts'
import { valuesOf, type Figure } from '../figures.ts'
import { randomOf, tokensOf } from '../loads.ts'
import { sideBySide, type Measured, type Setup, type Side } from '../rig.ts'
import { among, WARM_UP_MS, type Options, type Scenario } from '../scenario.ts'
import { median, sum } from '../statistics.ts'

const FLEET = 'single'
const SERVICE_MS = 400
const QUEUE_SIZE = 20
/** Between an answer and the client's next request. */
const THINK_MS = 500

/** One request from its first refusal to its acceptance or the end of the run; ms. */
interface Refused {
  readonly at: number
  readonly toldMs: number
  /** When it was sent for the last time. */
  acceptedAt: number
}

/** What happened on one side. */
class Log {
  readonly refused: Refused[] = []
  /** When requests that were never refused were accepted. */
  readonly atOnce: number[] = []
  /** Ends of answers: each makes room for one request in the queue. */
  readonly answered: number[] = []
  /** Of all sendings after a refusal, how many were refused again. */
  again = 0
  retries = 0
  withoutTime = 0

  /**
   * How long a refused request had to wait for its turn: until there was room for it after those refused before it, and after
   * those that came later and were accepted at once. `undefined` where the run ended first.
   */
  neededMs(refused: Refused): number | undefined {
    const before = this.refused.filter(({ at, acceptedAt }) => at < refused.at && acceptedAt > refused.at).length
    const ends = this.answered.filter((at) => at > refused.at)
    const slippedIn = this.atOnce.filter((at) => at > refused.at)
    let ahead = before + 1
    let slipped = 0
    for (const at of ends) {
      for (; slipped < slippedIn.length && slippedIn[slipped]! <= at; slipped++) ahead++
      if (--ahead === 0) return at - refused.at
    }
    return undefined
  }
}

/** Clients of as many callers; each has one request at a time. */
const PARTS = [
  { callers: 100, clientsEach: 1 },
  { callers: 5, clientsEach: 20 },
] as const
type Part = (typeof PARTS)[number]

/** A small queue with many clients that come back exactly when they are told. */
export const retryAfter: Scenario = {
  name: 'retryAfter',
  title: `100 clients, places for ${QUEUE_SIZE} of them to wait; all heed Retry-After`,
  async run(options) {
    const figures: Figure[] = []
    const cpu: number[] = []
    for (const part of PARTS) {
      const measured = await measure(part, options)
      figures.push(...figuresOf(`Retry-After, ${part.callers} × ${part.clientsEach}`, measured.of))
      cpu.push(measured.cpu)
    }
    return { figures, cpu }
  },
}

interface Result {
  readonly log: Log
  /** Told over needed, of each first refusal. */
  readonly ratios: readonly number[]
  /** Share of the slots' time in which they served what was answered. */
  readonly busy: number
}

/** Times as long as other scenarios: those that are refused come back several times. */
const LONGER = 2.5

function measure({ callers, clientsEach }: Part, options: Options): Promise<Measured<Result>> {
  const setup: Setup = {
    ...{ fleet: FLEET, contenders: among(options, 'gateway'), callers: Array.from({ length: callers }, () => ({})) },
    settings: { QUEUE_SIZE: `${QUEUE_SIZE}` },
  }
  const seconds = LONGER * options.seconds
  return sideBySide(setup, async (side) => {
    const log = new Log()
    for (let client = 0; client < callers * clientsEach; client++) {
      void comeBack(side, log, { caller: client % callers, random: randomOf(options.seeds[0]!, client) })
    }
    await sleep(WARM_UP_MS)
    const from = performance.now()
    await sleep(1000 * seconds)
    const answers = side.client.sent.filter(({ end, endAt }) => end === 'answered' && endAt >= from)
    const busyMs = sum(answers.map(({ serviceMs }) => serviceMs))
    const ratios = log.refused.flatMap((refused) => {
      const needed = refused.at < from ? undefined : log.neededMs(refused)
      return needed === undefined ? [] : [refused.toldMs / needed]
    })
    return { ratios, log, busy: busyMs / (1000 * seconds * slotsOf(FLEETS[FLEET])) }
  })
}

function figuresOf(scenario: string, of: ReadonlyMap<ContenderName, Result>): Figure[] {
  return [
    {
      ...{ scenario, what: 'told / needed, median', goal: { within: [0.5, 2] } },
      values: valuesOf(of, ({ ratios }) => median(ratios)),
    },
    { scenario, what: 'refusals that count', digits: 0, values: valuesOf(of, ({ ratios }) => ratios.length) },
    {
      ...{ scenario, what: 'told, s, median' },
      values: valuesOf(of, ({ log }) => median(log.refused.map(({ toldMs }) => toldMs / 1000))),
    },
    { scenario, what: 'refused again', values: valuesOf(of, ({ log }) => log.again / log.retries) },
    { scenario, what: 'refused without it', digits: 0, values: valuesOf(of, ({ log }) => log.withoutTime) },
    { scenario, what: 'slots busy', values: valuesOf(of, ({ busy }) => busy) },
  ]
}

/** One client: a request at a time, sent again when the gateway says so until it is accepted. */
async function comeBack(
  { client }: Side,
  log: Log,
  { caller, random }: { caller: number; random: () => number },
): Promise<void> {
  while (!client.isOver) {
    await sleep(exponential(random, THINK_MS))
    const tokens = tokensOf(random, meanTokens(FLEETS[FLEET], SERVICE_MS))
    let refused: Refused | undefined
    for (;;) {
      const sentAt = performance.now()
      if (refused) log.retries++
      const { end, endAt, retryAfter } = await client.ask({ caller, tokens })
      if (client.isOver) return
      if (end === 'answered') {
        if (refused) refused.acceptedAt = sentAt
        else log.atOnce.push(sentAt)
        log.answered.push(endAt)
        break
      }
      if (retryAfter === undefined) log.withoutTime++
      if (refused) log.again++
      const toldMs = 1000 * (retryAfter ?? 1)
      if (!refused) log.refused.push((refused = { at: sentAt, toldMs, acceptedAt: Infinity }))
      await sleep(toldMs)
    }
  }
}
