import type { StatsFs } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Gauge, type Aggregator, type Registry } from 'prom-client'
import { parseStateUrl } from '../base/stateUrl.ts'
import type { Ledger } from '../ledger/ledger.ts'

export interface LedgerSettings {
  readonly stateUrl: string
  readonly stateMaxBytes: number
}

/** How full the ledger is, and whether it can be written. All workers of a machine see the same one. */
export function addLedgerGauges(registry: Registry, ledger: Ledger, settings: LedgerSettings): void {
  const gauge = (
    name: string,
    help: string,
    value: () => number | Promise<number>,
    aggregator: Aggregator = 'max',
  ): void => {
    new Gauge({
      name: `infernet_gateway_ledger_${name}`,
      help,
      aggregator,
      registers: [registry],
      async collect(): Promise<void> {
        this.set(await value())
      },
    })
  }
  gauge('bytes', 'Requests, results and answers that are kept', () => ledger.health().keptBytes)
  gauge('max_bytes', 'STATE_MAX_BYTES: beyond it the oldest finished jobs go', () => settings.stateMaxBytes)
  gauge('jobs', 'Jobs that are kept, finished or not', () => ledger.health().jobs)
  gauge('held_jobs', 'Jobs whose latest change waits in memory to be written', () => ledger.health().held)
  gauge('writable', '1 while jobs can be recorded', () => (ledger.health().writable ? 1 : 0), 'min')
  const state = parseStateUrl(settings.stateUrl)
  if (state.kind !== 'sqlite') return
  const folder = dirname(resolve(state.file))
  const disk = async (bytes: (stats: StatsFs) => number): Promise<number> => {
    try {
      return bytes(await statfs(folder))
    } catch {
      // Nothing is known of a disk that cannot be asked.
      return NaN
    }
  }
  const free = (): Promise<number> => disk(({ bavail, bsize }) => bavail * bsize)
  const size = (): Promise<number> => disk(({ blocks, bsize }) => blocks * bsize)
  gauge('disk_free_bytes', 'Room left on the disk of the ledger', free, 'min')
  gauge('disk_bytes', 'Size of the disk of the ledger', size)
}
