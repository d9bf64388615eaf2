/** A Redis that writes each change to a file, and a copy of it that takes its place when it fails. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultyProxy, type FaultyProxy } from '../kit/faultyProxy.ts'
import { startRedis, type RedisServer } from '../kit/redisServer.ts'
import { eventually } from '../kit/wait.ts'
import type { Cleanup } from '../kit/wait.ts'

export class RedisPair {
  master: RedisServer
  #copy: RedisServer
  /** By which the copy gets its data. */
  readonly #link: FaultyProxy
  /** Those by which gateways reach the master. */
  readonly #lines: readonly FaultyProxy[]

  private constructor(master: RedisServer, copy: RedisServer, link: FaultyProxy, lines: readonly FaultyProxy[]) {
    this.master = master
    this.#copy = copy
    this.#link = link
    this.#lines = lines
  }

  static async start(t: Cleanup, gateways: number): Promise<{ pair: RedisPair; lines: FaultyProxy[] }> {
    const master = await startRedis(t, { appendOnly: true })
    const copy = await startRedis(t, { appendOnly: true })
    const link = await startFaultyProxy(t, master.port)
    const lines = await Promise.all(Array.from({ length: gateways }, () => startFaultyProxy(t, master.port)))
    const pair = new RedisPair(master, copy, link, lines)
    await pair.#follow()
    await eventually(() => pair.isCopied(), { withinMs: 30_000, what: 'a copy of Redis' })
    return { pair, lines }
  }

  /** Whether the copy follows the master at present. */
  async isCopied(): Promise<boolean> {
    return /master_link_status:up/.test(String(await this.#copy.call('INFO', 'replication')))
  }

  /** The master dies, and its copy, which has missed what came last, takes its place; then the two change parts. */
  async failOver(missedSeconds: number): Promise<void> {
    this.#link.silence()
    await sleep(missedSeconds * 1000)
    const [former, present] = [this.master, this.#copy]
    await former.kill()
    await present.call('REPLICAOF', 'NO', 'ONE')
    this.master = present
    this.#copy = former
    for (const line of this.#lines) line.retarget(present.port)
    this.#link.retarget(present.port)
    this.#link.mend()
    await former.restart({ keepsData: false })
    await this.#follow()
  }

  async #follow(): Promise<void> {
    await this.#copy.call('REPLICAOF', '127.0.0.1', String(this.#link.port))
  }
}
