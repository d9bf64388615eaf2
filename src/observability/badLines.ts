import { Gauge, type Registry } from 'prom-client'
import type { BadLines } from '../base/badLines.ts'

/** A gauge of the lines that were skipped, by the setting that names their file. */
export function addBadLineGauge(registry: Registry, badLines: BadLines): void {
  new Gauge({
    name: 'infernet_gateway_bad_lines',
    help: 'Lines, or entries, of a file that were skipped when it was last read, by the setting that names the file',
    labelNames: ['setting'],
    // All workers of a machine read the same files.
    aggregator: 'max',
    registers: [registry],
    collect(): void {
      for (const [setting, count] of badLines.counts) this.set({ setting }, count)
    },
  })
}
