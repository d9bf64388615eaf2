import { parseArgs } from 'node:util'
import type { LoadEnd } from './load.ts'

type Part = 'jobs' | 'openai' | 'profile' | 'streams' | 'memory' | 'hostile' | 'turns'

export interface BenchOptions {
  /** What is measured, in this order: jobs, openai, profile, streams, memory, hostile, turns. */
  readonly parts: ReadonlySet<Part>
  /** Names of contenders; empty: all that are installed. */
  readonly contenders: readonly string[]
  /** The attacks whose names hold this. */
  readonly attack: string
  readonly connections: number
  readonly warmUpSeconds: number
  /** Jobs to warm up a process with: one that has not yet compiled all it runs costs up to twice as much. */
  readonly jobWarmUp: LoadEnd
  readonly rounds: number
  readonly roundSeconds: number
  /** Streams: how many, and how long they are watched. */
  readonly streamCount: number
  readonly streamSeconds: number
  /** Jobs of the memory part. */
  readonly memoryJobs: number
}

export const usage = `npm run bench -- [option …]
  (none)           CPU per job and per chat beside other proxies, the profile, the streams
  --quick          CPU per job alone, at most 10 s for each contender
  --only a,b       only these contenders
  --rounds N       rounds of 4 s for each contender (5)
  --openai         only chat completions: CPU per answer and per event, and what they are delayed
  --profile        only the profile: where the gateway's time goes
  --streams        only the streams: --count 1000, --seconds 120
  --memory         only the memory over --jobs 500000
  --hostile        only what one hostile caller does to the others: --attack PART-OF-A-NAME
  --turns          only the longest turn of the event loop that one request or backend causes: --attack PART-OF-A-NAME`

/** `undefined` where the arguments are not understood. */
export function readOptions(args: string[]): BenchOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        rounds: { type: 'string', default: '5' },
        openai: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        streams: { type: 'boolean', default: false },
        memory: { type: 'boolean', default: false },
        hostile: { type: 'boolean', default: false },
        turns: { type: 'boolean', default: false },
        attack: { type: 'string', default: '' },
        count: { type: 'string', default: '1000' },
        seconds: { type: 'string', default: '120' },
        jobs: { type: 'string', default: '500000' },
      },
    })
    const { quick } = values
    return {
      parts: partsOf(values),
      contenders: values.only.split(',').filter(Boolean),
      attack: values.attack,
      connections: 32,
      warmUpSeconds: quick ? 4 : 10,
      jobWarmUp: { requests: 30_000, seconds: quick ? 4 : 30 },
      rounds: quick ? 3 : wholeNumber(values.rounds, 100),
      roundSeconds: quick ? 1.2 : 4,
      streamCount: wholeNumber(values.count, 5000),
      streamSeconds: wholeNumber(values.seconds, 3600),
      memoryJobs: wholeNumber(values.jobs, 5_000_000),
    }
  } catch {
    return undefined
  }
}

function partsOf(asked: Record<'quick' | Exclude<Part, 'jobs'>, boolean>): Set<Part> {
  const parts = (['openai', 'profile', 'streams', 'memory', 'hostile', 'turns'] as const).filter((part) => asked[part])
  if (parts.length > 0) return new Set(parts)
  return new Set(asked.quick ? ['jobs'] : ['jobs', 'openai', 'profile', 'streams'])
}

function wholeNumber(text: string, most: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > most) throw new RangeError(text)
  return value
}
