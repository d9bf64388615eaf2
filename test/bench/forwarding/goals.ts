/** The lines of the summary, and what each is to reach. */

export interface Line {
  readonly title: string
  readonly unit: string
  readonly digits: number
  /** How the gateway's figure is set beside the second one; `value`: it is the gateway's own that counts. */
  readonly kind: 'ratio' | 'difference' | 'value'
  /** What the second figure is, if not stock's. */
  readonly beside?: string
  /** What the ratio, the difference or the value may be at most. Without it the line has no goal. */
  readonly most?: number
}

/** CPU of a request, event or job, as a ratio. */
const CPU = { unit: 'µs', digits: 1, kind: 'ratio' } as const
const LIFE_CPU = { unit: 'µs', digits: 0, kind: 'ratio' } as const
/** A time that is compared by what is added to it, by how many times as long it is, or not at all. */
const MORE_MS = { unit: 'ms', digits: 2, kind: 'difference' } as const
const TIMES_MS = { unit: 'ms', digits: 2, kind: 'ratio' } as const
const OWN_MS = { unit: 'ms', digits: 2, kind: 'value' } as const
const OWN_SECONDS = { unit: 's', digits: 3, kind: 'value' } as const
/** Memory that is not to grow. */
const FLAT = { unit: 'MB', digits: 0, kind: 'ratio', beside: 'half-way', most: 1.1 } as const

/** In the order of the summary. */
export const LINES = {
  chatCpu: { title: 'chat completion, 32 connections: CPU', ...CPU, most: 0.75 },
  chatSmallCpu: { title: 'chat completion, 150 a second: CPU', ...CPU },
  chatSmallP50: { title: 'chat completion, 150 a second: p50', ...MORE_MS },
  chatSmallP99: { title: 'chat completion, 150 a second: p99', ...MORE_MS },

  eventCpu100: { title: 'streamed event, 100 × 50/s: CPU', ...CPU, most: 0.9 },
  eventP99At100: { title: 'streamed event, 100 × 50/s: added p99', ...MORE_MS },
  eventCpu200: { title: 'streamed event, 200 × 50/s: CPU', ...CPU, most: 0.9 },
  eventP99At200: { title: 'streamed event, 200 × 50/s: added p99', ...MORE_MS, most: 1 },

  jobCpu: { title: 'submission at full load, SQLite: CPU', ...CPU, most: 1 },
  jobP99: { title: 'submission at full load, SQLite: p99', ...TIMES_MS, beside: 'its mean', most: 4 },
  jobHalfP99: { title: 'submission at half that rate: p99', ...TIMES_MS, most: 2 },
  jobHalfStall: { title: 'submission at half that rate: longest stall', ...OWN_MS, most: 10 },
  jobSmallCpu: { title: 'submission, 150 a second: CPU', ...CPU },
  jobSmallP50: { title: 'submission, 150 a second: p50', ...MORE_MS, most: 0.4 },
  jobSmallP99: { title: 'submission, 150 a second: p99', ...MORE_MS, most: 3 },

  readP50: { title: 'read of a finished job: p50', ...OWN_MS, most: 0.5 },
  readP99: { title: 'read of a finished job: p99', ...MORE_MS },
  readCpu: { title: 'read of a finished job: CPU', ...CPU, beside: 'running job', most: 1.2 },
  oldReadP50: { title: 'read of a job finished long ago: p50', ...MORE_MS },
  oldReadP99: { title: 'read of a job finished long ago: p99', ...MORE_MS },
  oldReadCpu: { title: 'read of a job finished long ago: CPU', ...CPU, beside: 'running job' },

  lifeAsking: { title: 'life of a 2 s job, asked once a second: CPU', ...LIFE_CPU, most: 0.7 },
  lifeReadWait: { title: 'the same, Prefer: wait=30 on the read', ...LIFE_CPU, beside: 'asked', most: 0.45 },
  lifeSubmitWait: { title: 'the same, Prefer: wait=30 on submission', ...LIFE_CPU, beside: 'asked', most: 0.45 },

  seenAsking: { title: '50 ms job, asked every 50 ms: seen after', ...OWN_SECONDS, beside: 'node', most: 0.15 },
  seenReadWait: { title: 'the same, Prefer: wait=30 on the read', ...OWN_SECONDS, beside: 'node, asked', most: 0.1 },
  seenSubmitWait: {
    title: 'the same, Prefer: wait=30 on submission',
    ...OWN_SECONDS,
    beside: 'node, asked',
    most: 0.1,
  },

  streamP99: { title: '1,000 streams: p99 of a piece', ...OWN_MS, most: 5 },
  streamMemory: { title: '1,000 streams: memory at the end', ...FLAT },
  redisCpu: { title: 'submission at full load, Redis: CPU', ...CPU, beside: 'SQLite', most: 1 },
  pollCpu: {
    title: '1,000 clients that poll at 3 gateways: CPU',
    unit: '%',
    digits: 1,
    kind: 'value',
    beside: 'one, SQLite',
    most: 5,
  },
  lookSeconds: { title: 'end of a job, 3 gateways, node of 60 looks a minute: told after', ...OWN_SECONDS, most: 2 },
  outageFailed: {
    title: 'Redis away: failed chats, streams and look-ups',
    unit: '',
    digits: 0,
    kind: 'value',
    most: 0,
  },
  outageP99: { title: 'Redis away: p99 of a chat completion', ...TIMES_MS, beside: 'before', most: 1.5 },
  deathSeconds: { title: 'death of a gateway: end told to one that waits', ...OWN_SECONDS, most: 20 },

  jobMemory: { title: '500,000 jobs: memory at the end', ...FLAT },
} as const satisfies Record<string, Line>

export type LineName = keyof typeof LINES
