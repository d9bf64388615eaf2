import type { Gateway } from '../kit/gateway.ts'
import type { Caller } from './caller.ts'
import type { Findings } from './checks.ts'
import type { ChaosOptions } from './options.ts'
import type { Troubles } from './troubles.ts'

const MOST_SHOWN = 20

/** A run that is over. */
interface ChaosRun {
  readonly options: ChaosOptions
  readonly callers: readonly Caller[]
  readonly troubles: Troubles
  readonly gateways: readonly Gateway[]
  readonly findings: Findings
  readonly seconds: number
}

/** The run in numbers, as lines for people. */
export function summarize({ options, callers, troubles, gateways, findings, seconds }: ChaosRun): string {
  const { violations, succeeded, failed, unheard } = findings
  const sum = (count: (caller: Caller) => number): number => callers.reduce((total, caller) => total + count(caller), 0)
  const refused = new Map<string, number>()
  for (const caller of callers) {
    for (const [reason, count] of caller.refused) refused.set(reason, (refused.get(reason) ?? 0) + count)
  }
  const lines = (message: string): number =>
    gateways.reduce((total, { logs }) => total + logs.filter((line) => line.message === message).length, 0)
  const sharing = (): string[] => [
    `taken for dead  ${lines('replicas: this gateway was taken for dead and begins anew')} that were not`,
    `history lost    ${lines('replicas: the ledger has lost its latest changes, which are written again')}`,
  ]
  const which =
    gateways.length === 1
      ? ''
      : `${gateways.length} gateways (${options.addresses === 'one' ? 'one address' : 'an address each'}), `
  return [
    `seed ${options.seed}: ${sum((caller) => caller.submitted)} jobs of ${callers.length} callers, ${which}${options.nodes} nodes, ${seconds.toFixed(0)} s`,
    `acknowledged  ${sum((caller) => caller.acknowledged.length)} (and ${unheard} more that their callers never heard of)`,
    `refused       ${counts(refused)}`,
    `succeeded     ${succeeded}`,
    `failed        ${counts(failed)}`,
    `run again     ${lines('job runs again')}`,
    ...(gateways.length === 1 ? [] : sharing()),
    `troubles      ${counts(troubles.counts)}`,
    `violations    ${violations.length}`,
    ...violations.slice(0, MOST_SHOWN).map((violation) => `  ${violation}`),
  ].join('\n')
}

function counts(map: ReadonlyMap<string, number>): string {
  if (map.size === 0) return '0'
  const sorted = [...map].sort(([, a], [, b]) => b - a)
  return sorted.map(([what, count]) => `${count} × ${what}`).join(', ')
}
