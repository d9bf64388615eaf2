import { parseArgs } from 'node:util'

export interface ChaosOptions {
  /** Decides what goes wrong, in which order and for how long. */
  readonly seed: number
  readonly jobs: number
  readonly callers: number
  readonly nodes: number
  /** Gateways: one with a ledger on its disk, or several that share a Redis. */
  readonly replicas: number
  /** Whether nodes see all replicas under one address, or each under one of its own. */
  readonly addresses: 'one' | 'each'
  /** Over how long the jobs are submitted, and things go wrong. */
  readonly seconds: number
  /** How long everything may take to come to rest afterwards. */
  readonly settleSeconds: number
  /** Tells what happens as it happens. */
  readonly verbose: boolean
}

export const usage = `npm run chaos -- [option …]
  --seed N         what goes wrong, and when (default: drawn, and printed)
  --jobs N         jobs in all (5000)
  --seconds N      over how long (40)
  --replicas N     gateways that share a Redis, which is in trouble too (1: one gateway with SQLite)
  --addresses A    one, or each: the addresses under which nodes see the replicas (one)
  --verbose        tell each trouble as it comes`

/** `undefined` where the arguments are not understood. */
export function readOptions(args: string[]): ChaosOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
        jobs: { type: 'string', default: '5000' },
        seconds: { type: 'string', default: '40' },
        replicas: { type: 'string', default: '1' },
        addresses: { type: 'string', default: 'one' },
        verbose: { type: 'boolean', default: false },
      },
    })
    const { seed, jobs, seconds, replicas, addresses, verbose } = values
    if (addresses !== 'one' && addresses !== 'each') return undefined
    return {
      seed: wholeNumber(seed),
      jobs: wholeNumber(jobs),
      callers: 20,
      nodes: 5,
      replicas: Math.max(1, wholeNumber(replicas)),
      addresses,
      seconds: wholeNumber(seconds),
      settleSeconds: 45,
      verbose,
    }
  } catch {
    return undefined
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${text} is not a whole number`)
  return Number(text)
}
