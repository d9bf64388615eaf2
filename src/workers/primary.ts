import cluster from 'node:cluster'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { createIdentity } from '../base/identity.ts'
import type { KeptFile } from '../base/keptTexts.ts'
import type { Logger } from '../base/logger.ts'
import { WorkerHub } from '../ledger/ipc/hub.ts'
import { MemberServer } from '../ledger/ipc/server.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Crew, type Hand } from './crew.ts'
import type { FromWorker, Subject } from './messages.ts'
import { Reports } from './reports.ts'
import { addCounts, sumMetrics, type MetricsOfProcess } from './sumMetrics.ts'
import { sumActivity, type Activity } from './sumActivity.ts'
import { sumStats } from './sumStats.ts'

export interface PrimaryOptions {
  readonly workers: number
  /** Opens the ledger that the workers share; undefined where each opens it itself. */
  readonly openLedger: (() => Promise<Ledger>) | undefined
  /** A worker whose event loop stands still for longer than this hangs, seconds: it is killed and replaced. */
  readonly hangSeconds: number
  /** How long workers may take to finish what they have begun, seconds. */
  readonly drainTimeoutSeconds: number
  readonly logger: Logger
}

/** The process that owns the ledger and the workers, and serves nothing itself. */
export class Primary {
  readonly #ledger: Ledger | undefined
  readonly #hub: WorkerHub | undefined
  readonly #crew: Crew
  readonly #drainTimeoutMs: number
  #port = 0
  readonly #reports = new Reports()
  readonly #registry = new Registry()
  /** The last good texts of files: a worker that replaces another starts with them where a file is broken by then. */
  readonly #texts: Partial<Record<KeptFile, string>> = {}
  /** What workers had counted that have ended. */
  #former: Promise<MetricsOfProcess> = Promise.resolve([])
  /** The same for the last 15 minutes. */
  #formerActivity: Activity | undefined

  private constructor(options: PrimaryOptions, ledger: Ledger | undefined, hub: WorkerHub | undefined) {
    this.#ledger = ledger
    this.#hub = hub
    this.#drainTimeoutMs = options.drainTimeoutSeconds * 1000
    collectDefaultMetrics({ register: this.#registry })
    this.#crew = new Crew({
      size: options.workers,
      hangMs: options.hangSeconds * 1000,
      logger: options.logger,
      texts: this.#texts,
      start: { hasLedger: hub !== undefined, via: createIdentity().via },
      onMessage: (hand, message) => this.#receive(hand, message),
      onForked: (hand) => {
        if (hub) new MemberServer(hub.join(), hand.channel)
      },
      onEnded: (hand) => this.#reports.ended(hand),
    })
  }

  /** Rejects if the ledger cannot be opened, or a worker cannot start; then all that was begun is ended. */
  static async start(options: PrimaryOptions): Promise<Primary> {
    // Bytes go as they are, not as JSON.
    cluster.setupPrimary({ serialization: 'advanced' })
    const ledger = await options.openLedger?.()
    const primary = new Primary(options, ledger, ledger && (await WorkerHub.open(ledger)))
    try {
      const { host, port } = await primary.#crew.start()
      primary.#port = port
      options.logger.info('listening', { host, port, workers: options.workers })
    } catch (error) {
      await primary.kill()
      throw error
    }
    return primary
  }

  /** Where the workers listen. */
  get port(): number {
    return this.#port
  }

  reread(): void {
    for (const hand of this.#crew.hands) void hand.channel.tell({ kind: 'reread' })
  }

  /** Replaces the workers in turn; no request is dropped. */
  rotate(): Promise<void> {
    return this.#crew.rotate()
  }

  /** Lets all workers finish, then closes the ledger. */
  async stop(): Promise<void> {
    // Before they are told: a worker that sees another one stay would wait for it to take over its jobs.
    this.#hub?.leaveAll()
    // The word of it leaves at the end of this turn.
    await nextTurn()
    await this.#crew.drain(this.#drainTimeoutMs)
    await this.#close()
  }

  /** Ends the workers at once, then closes the ledger. */
  async kill(): Promise<void> {
    await this.#crew.kill()
    await this.#close()
  }

  async #close(): Promise<void> {
    await this.#hub?.close()
    await this.#ledger?.close()
  }

  #receive(hand: Hand, message: FromWorker): void {
    if (message.kind === 'reported') this.#reports.reported(hand, message.number, message.value)
    else if (message.kind === 'sum') void this.#sum(hand, message.number, message.subject)
    else if (message.kind === 'keep') this.#texts[message.file] = message.text
    else if (message.kind === 'last') {
      const last = message.metrics as MetricsOfProcess
      this.#former = this.#former.then((former) => addCounts(former, last))
      const { activity } = message.stats as { activity: Activity }
      this.#formerActivity = this.#formerActivity ? sumActivity([activity, this.#formerActivity]) : activity
    }
  }

  async #sum(hand: Hand, number: number, subject: Subject): Promise<void> {
    // The one that was asked comes first.
    const hands = [hand, ...this.#crew.serving.filter((other) => other !== hand)]
    const { values, answered } = await this.#reports.collect(subject, hands)
    void hand.channel.tell({ kind: 'sum', number, value: await this.#sumOf(subject, values, answered) })
  }

  async #sumOf(subject: Subject, values: readonly unknown[], answered: number): Promise<unknown> {
    // That all have answered is all there is to tell.
    if (subject === 'usage') return null
    return subject === 'metrics' ? this.#sumMetrics(values) : sumStats(values as never, answered, this.#formerActivity)
  }

  /** With those of this process: its part of the work shows in its processor time and in its event loop. */
  async #sumMetrics(values: readonly unknown[]): Promise<string> {
    const own = await this.#registry.getMetricsAsJSON()
    return sumMetrics([...(values as MetricsOfProcess[]), own, await this.#former])
  }
}
