import {
  ENGINE_DEFAULTS,
  spawnEngines,
  type Engine,
  type EngineStats,
  type SpawnedEngines,
} from '../../kit/fakeEngine/index.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** Engines share that many processes, apart from gateway and load generator. */
const PROCESSES = 2

/** Engines whose speed and memory differ: one to three times as fast, with a cache of half to twice the usual size. */
function unlikeEngines(count: number, timeScale: number): Engine[] {
  return Array.from({ length: count }, (_, i) => {
    const place = count > 1 ? i / (count - 1) : 0.5
    // Three is prime to most counts, so that size of cache and speed have nothing to do with each other.
    const otherPlace = count > 1 ? ((3 * i + 1) % count) / (count - 1) : 0.5
    return {
      ...ENGINE_DEFAULTS,
      ...{ speed: 1 + 2 * place, cacheTokens: Math.round(ENGINE_DEFAULTS.cacheTokens * 4 ** (otherPlace - 0.5)) },
      timeScale,
    }
  })
}

/** Simulated engines, as processes. */
export class Fleet {
  readonly engines: readonly Engine[]
  readonly urls: readonly string[]
  /** Real time over simulated time. */
  readonly timeScale: number
  readonly #groups: readonly SpawnedEngines[]

  private constructor(engines: readonly Engine[], groups: readonly SpawnedEngines[], timeScale: number) {
    this.timeScale = timeScale
    this.engines = engines
    this.#groups = groups
    this.urls = groups.flatMap(({ urls }) => urls)
  }

  static async start(count: number, timeScale: number, t: Cleanup): Promise<Fleet> {
    const engines = unlikeEngines(count, timeScale)
    const groups: SpawnedEngines[] = []
    const each = Math.ceil(count / PROCESSES)
    for (let i = 0; i < count; i += each) groups.push(await spawnEngines(engines.slice(i, i + each), t))
    return new Fleet(engines, groups, timeScale)
  }

  async stats(): Promise<EngineStats[]> {
    return (await Promise.all(this.#groups.map((group) => group.stats()))).flat()
  }

  /** Empties all caches. */
  async reset(): Promise<void> {
    await Promise.all(this.#groups.map((group) => group.reset()))
  }
}
