import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type Caller } from './client.ts'
import { startContender, type Contender, type ContenderName, type Settings } from './contenders.ts'
import { Engines, FLEETS, type FleetName } from './engines.ts'
import { watchMachine } from './machine.ts'

/** One contender with engines and a client of its own. */
export interface Side {
  readonly name: ContenderName
  readonly engines: Engines
  readonly client: Client
}

export interface Setup {
  readonly fleet: FleetName
  readonly contenders: readonly ContenderName[]
  readonly callers: readonly Caller[]
  /** Of the gateway, beside the usual ones. */
  readonly settings?: Settings
}

/** What was measured on each side, and the share of the machine's processors that was busy meanwhile. */
export interface Measured<T> {
  readonly of: ReadonlyMap<ContenderName, T>
  readonly cpu: number
}

/** Rests between two looks at requests that have not ended, ms. */
const LOOK_MS = 20

/**
 * Lets all contenders do the same at the same time, each with engines of its own: whatever disturbs the machine disturbs
 * all of them.
 */
export async function sideBySide<T>(setup: Setup, measure: (side: Side) => Promise<T>): Promise<Measured<T>> {
  const ends: (() => Promise<void>)[] = []
  try {
    const sides: Side[] = []
    for (const name of setup.contenders) sides.push(await startSide(name, setup, ends))
    const cpuShare = watchMachine()
    const results = await Promise.all(sides.map(async (side) => [side.name, await measure(side)] as const))
    return { of: new Map(results), cpu: cpuShare() }
  } finally {
    await Promise.all(ends.map((end) => end()))
  }
}

async function startSide(
  name: ContenderName,
  { fleet, callers, settings = {} }: Setup,
  ends: (() => Promise<void>)[],
): Promise<Side> {
  const engines = await Engines.start(FLEETS[fleet], name.startsWith('metrics'))
  ends.push(() => engines.kill())
  const contender: Contender = await startContender(name, engines, callers, settings)
  ends.push(() => contender.stop())
  const client = new Client(contender.origin)
  ends.push(() => client.close())
  return { name, engines, client }
}

/** Until no request is under way, or `mostMs` are over. */
export async function untilAnswered({ client }: Side, mostMs: number): Promise<void> {
  for (const deadline = performance.now() + mostMs; client.open > 0 && performance.now() < deadline;) {
    await sleep(LOOK_MS)
  }
}
