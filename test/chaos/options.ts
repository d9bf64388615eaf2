import { parseArgs } from 'node:util'

export interface ChaosOptions {
  /** Decides what goes wrong, in which order and for how long. */
  readonly seed: number
  readonly jobs: number
  readonly callers: number
  readonly nodes: number
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
        verbose: { type: 'boolean', default: false },
      },
    })
    const { seed, jobs, seconds, verbose } = values
    return {
      seed: wholeNumber(seed),
      jobs: wholeNumber(jobs),
      callers: 20,
      nodes: 5,
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
