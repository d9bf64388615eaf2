import { parseArgs } from 'node:util'
import type { LoadEnd } from './load.ts'

/** Everything that can be measured, in this order. */
const PARTS = [
  ...(['submissions', 'chat', 'events', 'reads', 'life', 'seen', 'streams'] as const),
  ...(['memory', 'replicas', 'profile', 'hostile', 'turns'] as const),
]
type Part = (typeof PARTS)[number]

/** What the goals are about. The memory takes too long. */
const DEFAULT_PARTS: readonly Part[] = PARTS.slice(0, PARTS.indexOf('memory'))
const QUICK_PARTS: readonly Part[] = ['submissions']

/** How much is asked of the proxies: all they can, half of what the gateway can, 150 requests a second. */
const LOADS = ['full', 'half', 'small'] as const
type Load = (typeof LOADS)[number]

export interface BenchOptions {
  readonly parts: ReadonlySet<Part>
  /** Of submissions and chat completions. */
  readonly loads: ReadonlySet<Load>
  /** Names of contenders; empty: all that are installed. */
  readonly contenders: readonly string[]
  /** The attacks whose names hold this. */
  readonly attack: string
  readonly connections: number
  /** To warm up a process with: one that has not yet compiled all it runs costs up to twice as much. */
  readonly warmUp: LoadEnd
  /** The same for streams and reads, after which nothing is to be compiled but what is their own. */
  readonly shortWarmUpSeconds: number
  /** Rounds at full load, and of streamed events. */
  readonly rounds: number
  readonly roundSeconds: number
  /** Rounds of less than full load: few requests need more time. */
  readonly openRounds: number
  readonly openRoundSeconds: number
  /** Whole lives of jobs: rounds, and seconds of arrivals in each. */
  readonly lifeRounds: number
  readonly lifeSeconds: number
  /** Short jobs of each client in a round. */
  readonly shortJobs: number
  /** Streams: how many, and how long they are watched. */
  readonly streamCount: number
  readonly streamSeconds: number
  /** For how long replicas are without their Redis. */
  readonly outageSeconds: number
  /** Jobs of the memory part. */
  readonly memoryJobs: number
}

export const usage = `npm run bench -- [option …]
  (none)           all lines of the summary but the memory, some 15 minutes
  --quick          submissions alone, or what else is named, in short rounds
  --only a,b       only these contenders: sqlite, memory, redis, workers, bare, stock, caddy, nginx, haproxy
  --load a,b       only these of full, half and small (150 requests a second): of submissions and chat completions
  --rounds N       rounds at full load (5)

 only this, and whatever else is named:
  --submissions    CPU and times of POST /api/jobs
  --chat           the same of chat completions
  --events         CPU per event of a streamed chat completion, and how much later it comes
  --openai         both
  --reads          reads of a running job, of one that has just ended, and of one that ended long ago
  --life           CPU of a 2 s job from its submission until its client has seen its end
  --seen           how soon the end of a 50 ms job is seen, by clients that a node limits
  --streams        many streams: --count 1000, --seconds 45
  --memory         the memory over --jobs 500000
  --replicas       several gateways that share a Redis: polls, looks, an outage, a death, a job's cost beside SQLite
  --profile        where the gateway's time goes
  --hostile        what one hostile caller does to the others: --attack PART-OF-A-NAME
  --turns          the longest turn of the event loop that one request or backend causes: --attack PART-OF-A-NAME`

const flag = { type: 'boolean', default: false } as const

/** `undefined` where the arguments are not understood. */
export function readOptions(args: string[]): BenchOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        quick: flag,
        only: { type: 'string', default: '' },
        load: { type: 'string', default: LOADS.join() },
        rounds: { type: 'string', default: '5' },
        submissions: flag,
        chat: flag,
        events: flag,
        openai: flag,
        reads: flag,
        life: flag,
        seen: flag,
        streams: flag,
        memory: flag,
        replicas: flag,
        profile: flag,
        hostile: flag,
        turns: flag,
        attack: { type: 'string', default: '' },
        count: { type: 'string', default: '1000' },
        seconds: { type: 'string', default: '45' },
        jobs: { type: 'string', default: '500000' },
      },
    })
    const { quick, openai } = values
    const named = PARTS.filter((part) => values[part] || (openai && (part === 'chat' || part === 'events')))
    return {
      parts: new Set(named.length > 0 ? named : quick ? QUICK_PARTS : DEFAULT_PARTS),
      loads: new Set(values.load.split(',').map(loadNamed)),
      contenders: values.only.split(',').filter(Boolean),
      attack: values.attack,
      connections: 32,
      warmUp: { requests: 30_000, seconds: quick ? 4 : 30 },
      shortWarmUpSeconds: quick ? 1.5 : 3,
      rounds: quick ? 3 : wholeNumber(values.rounds, 100),
      roundSeconds: quick ? 1.2 : 2,
      openRounds: quick ? 2 : 3,
      openRoundSeconds: quick ? 2 : 4,
      lifeRounds: quick ? 1 : 2,
      lifeSeconds: quick ? 3 : 6,
      shortJobs: quick ? 5 : 7,
      streamCount: wholeNumber(values.count, 5000),
      streamSeconds: wholeNumber(values.seconds, 3600),
      outageSeconds: quick ? 10 : 30,
      memoryJobs: wholeNumber(values.jobs, 5_000_000),
    }
  } catch {
    return undefined
  }
}

function loadNamed(name: string): Load {
  const load = LOADS.find((each) => each === name)
  if (!load) throw new RangeError(name)
  return load
}

function wholeNumber(text: string, most: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > most) throw new RangeError(text)
  return value
}
