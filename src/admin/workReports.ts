import type { Coordination } from '../replicas/index.ts'

/** Under which name replicas report. */
const VALUE = 'work'
/** A report counts for this long, ms: some of the seconds that pass between two of them may be lost. */
const REPORT_TTL_MS = 5000
/** Nodes in one report; of more it cannot be known whether they have ended. */
const MOST_NODES = 1000

/** What is under way at nodes that get no new work, by the key of the node. */
export type Work = ReadonlyMap<string, number>

/** What is under way at nodes that get no new work at the other gateways that share the ledger. */
export class WorkReports {
  readonly #shared: Pick<Coordination, 'membership' | 'values'>
  #reports: readonly (Work | undefined)[] = []
  #areJobsLeft = false

  constructor(shared: Pick<Coordination, 'membership' | 'values'>) {
    this.#shared = shared
  }

  /**
   * Tells the others what is under way here, and reads what they tell. A node that is missing in a report gets new work there still.
   *
   * @throws GatewayFault ERR_LEDGER while the store is away
   */
  async exchange(own: Work): Promise<void> {
    const { membership, values } = this.#shared
    const report = JSON.stringify([...own].slice(0, MOST_NODES))
    await values.set(VALUE, membership.self, report, REPORT_TTL_MS)
    const others = membership.replicas.filter(({ replica }) => replica !== membership.self)
    this.#areJobsLeft = others.some(({ state, jobs }) => state === 'gone' && jobs > 0)
    const living = others.filter(({ state }) => state !== 'gone')
    this.#reports = await Promise.all(living.map(async ({ replica }) => readReport(await values.get(VALUE, replica))))
  }

  /** Whether another has said that something is under way at this node, or may have: of one that its lists name no more. */
  isAnyUnderWay(key: string): boolean {
    return this.#areJobsLeft || this.#reports.some((report) => (report?.get(key) ?? 0) > 0)
  }

  /** Whether all others have said that nothing is under way at this node, and it gets nothing new from them. */
  areDone(key: string): boolean {
    return !this.#areJobsLeft && this.#reports.every((report) => report?.get(key) === 0)
  }
}

function readReport(bytes: Buffer | undefined): Work | undefined {
  return bytes && new Map(JSON.parse(bytes.toString()) as [string, number][])
}
