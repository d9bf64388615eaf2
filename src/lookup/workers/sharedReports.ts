import {
  type Fleet,
  type NodeSpec,
  REPORT_SECONDS,
  type TrackedNode,
  type WorkerReport,
  WorkerReports,
} from '../../fleet/index.ts'
import type { Ledger } from '../../ledger/index.ts'
import type { SharedValues } from '../../replicas/index.ts'
import { inTime } from '../../base/index.ts'

const NAME = 'worker'
/** How often a worker that takes no work is looked up in the store: its next report may reach another gateway, ms. */
const LOOK_MS = 1000
/** What the store has of a worker that takes work; the same where it has nothing. */
const READY = ''

/**
 * Reports of workers over all gateways that share a ledger. A worker reports to one of them; the others find its report in the
 * store before they send a client there. While the store is away each gateway goes by what it was told itself.
 */
export class SharedReports {
  readonly #local: WorkerReports
  readonly #values: SharedValues | undefined
  /** Workers that are looked up now and then. */
  readonly #watched = new Set<TrackedNode>()

  constructor(fleet: Fleet, { shared }: Pick<Ledger, 'shared'>) {
    this.#local = new WorkerReports(fleet)
    this.#values = shared?.coordination.values
  }

  /** Listed backends at the address that a worker reports. */
  nodesAt(address: NodeSpec): TrackedNode[] {
    return this.#local.nodesAt(address)
  }

  /** Takes over a report. Settles when other gateways can know of it, or cannot be told; never rejects. */
  async take(node: TrackedNode, report: WorkerReport): Promise<void> {
    this.#takeHere(node, report)
    await inTime(this.#values?.set(NAME, node.key, report.notReady ?? READY, REPORT_SECONDS * 1000))
  }

  /** Whether a worker takes work, by what any gateway was told. Never rejects. */
  async isReady(node: TrackedNode): Promise<boolean> {
    const told = await inTime(this.#values?.get(NAME, node.key).then((value) => value?.toString() ?? READY))
    if (told !== undefined) {
      this.#takeHere(node, { notReady: told === READY ? undefined : told, pending: undefined })
    }
    return node.notReady === undefined
  }

  stop(): void {
    this.#local.stop()
    this.#watched.clear()
  }

  #takeHere(node: TrackedNode, report: WorkerReport): void {
    this.#local.take(node, report)
    if (!this.#values || node.notReady === undefined || this.#watched.has(node)) return
    this.#watched.add(node)
    this.#lookLater(node)
  }

  #lookLater(node: TrackedNode): void {
    setTimeout(() => void this.#look(node), LOOK_MS).unref()
  }

  async #look(node: TrackedNode): Promise<void> {
    if (!this.#watched.has(node)) return
    if (node.isRetired || (await this.isReady(node))) this.#watched.delete(node)
    else this.#lookLater(node)
  }
}
