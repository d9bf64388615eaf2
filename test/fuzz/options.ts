import { parseArgs } from 'node:util'

export interface FuzzOptions {
  /** Decides every request and every answer of the hostile backends. */
  readonly seed: number
  readonly cases: number
  /** Between two rounds everything comes to rest and is looked at. */
  readonly rounds: number
  /** Cases under way at once. */
  readonly parallel: number
  /** Runs this case alone, and prints what is sent and what comes back. */
  readonly only: number | undefined
}

export const usage = `npm run fuzz -- [option …]
  --seed N         decides requests and answers (default: drawn, and printed)
  --cases N        cases in all (20000; at most 1000000)
  --rounds N       rounds, after each of which everything must be at rest (6)
  --parallel N     cases under way at once (32)
  --only N         only the case of that number, printed byte by byte`

/** `undefined` where the arguments are not understood. */
export function readOptions(args: string[]): FuzzOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
        cases: { type: 'string', default: '20000' },
        rounds: { type: 'string', default: '6' },
        parallel: { type: 'string', default: '32' },
        only: { type: 'string' },
      },
    })
    return {
      seed: wholeNumber(values.seed, 1e9),
      cases: wholeNumber(values.cases, 1_000_000),
      rounds: Math.max(1, wholeNumber(values.rounds, 100)),
      parallel: Math.max(1, wholeNumber(values.parallel, 256)),
      only: values.only === undefined ? undefined : wholeNumber(values.only, 1_000_000),
    }
  } catch {
    return undefined
  }
}

function wholeNumber(text: string, most: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) throw new RangeError(text)
  return Number(text)
}
