import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../kit/wait.ts'
import type { EngineOptions, EngineStats } from './engine.ts'

const MAIN = fileURLToPath(new URL('engineMain.ts', import.meta.url))

/** Slots and speeds of a fleet's engines, in their order. */
export interface FleetShape {
  readonly speeds: readonly number[]
  /** Of each engine. */
  readonly slots: number
}

/** Fleets of the scenarios. The mean service is one request's at the fleet's capacity, over all engines' shares of it. */
export const FLEETS = {
  single: { speeds: [1], slots: 4 },
  pair: { speeds: [1, 1], slots: 4 },
  alike: { speeds: [1, 1, 1, 1], slots: 4 },
  unlike: { speeds: [1, 1, 2, 4], slots: 4 },
  eight: { speeds: [1, 1, 1, 1, 1, 1, 1, 1], slots: 4 },
  'unlike eight': { speeds: [1, 1, 1, 1, 2, 2, 4, 4], slots: 4 },
} as const satisfies Record<string, FleetShape>

export type FleetName = keyof typeof FLEETS

export function slotsOf({ speeds, slots }: FleetShape): number {
  return speeds.length * slots
}

/** Tokens, that is milliseconds of service at speed 1, that a fleet can serve in a millisecond. */
function tokensPerMs({ speeds, slots }: FleetShape): number {
  return slots * speeds.reduce((sum, speed) => sum + speed, 0)
}

/** Mean tokens of requests that take `serviceMs` in the mean where every slot is always busy. */
export function meanTokens(fleet: FleetShape, serviceMs: number): number {
  return (serviceMs * tokensPerMs(fleet)) / slotsOf(fleet)
}

/** Simulated engines in one process of their own. */
export class Engines {
  readonly #options: readonly EngineOptions[]
  #child: ChildProcess | undefined

  private constructor(options: readonly EngineOptions[]) {
    this.#options = options
  }

  /** They keep their ports when they start again. */
  static async start({ speeds, slots }: FleetShape, showsMetrics: boolean): Promise<Engines> {
    const options: EngineOptions[] = []
    for (const [i, speed] of speeds.entries()) {
      options.push({ name: `engine-${i}`, port: await freePort(), slots, speed, showsMetrics })
    }
    const engines = new Engines(options)
    await engines.start()
    return engines
  }

  get urls(): string[] {
    return this.#options.map(({ port }) => `http://127.0.0.1:${port}`)
  }

  get slots(): number {
    return this.#options.reduce((sum, { slots }) => sum + slots, 0)
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(): Promise<void> {
    const child = fork(MAIN, [JSON.stringify(this.#options)])
    this.#child = child
    await once(child, 'message')
  }

  async stats(): Promise<EngineStats[]> {
    const answer = once(this.#child!, 'message')
    this.#child?.send('stats')
    return (await answer)[0] as EngineStats[]
  }

  /** SIGKILL: running requests break off, connections are refused until `start`. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}
