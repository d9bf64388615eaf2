/** The lines of the summary, and what each is to reach. */

/** How a figure is set beside another one, and what the result may be at most. Without a goal a line is shown only. */
interface Goal {
  /** `value` is the gateway's figure itself. */
  readonly kind: 'ratio' | 'difference' | 'value'
  readonly most?: number
}

export interface Line extends Goal {
  readonly title: string
  readonly unit: string
  readonly digits: number
  /** What the second figure is, if not stock's. */
  readonly beside?: string
}

const CPU = { unit: 'µs', digits: 1, kind: 'ratio' } as const
const MS = { unit: 'ms', digits: 2, kind: 'difference' } as const

/** In the order of the summary. */
export const LINES = {
  chatCpu: { ...CPU, title: 'chat completion, 32 connections: CPU', most: 0.75 },
  chatSmallCpu: { ...CPU, title: 'chat completion, 150 a second: CPU' },
  chatSmallP50: { ...MS, title: 'chat completion, 150 a second: p50' },
  chatSmallP99: { ...MS, title: 'chat completion, 150 a second: p99' },
  eventCpu100: { ...CPU, title: 'streamed event, 100 × 50/s: CPU', most: 0.9 },
  eventP99At100: { ...MS, title: 'streamed event, 100 × 50/s: added p99' },
  eventCpu200: { ...CPU, title: 'streamed event, 200 × 50/s: CPU', most: 0.9 },
  eventP99At200: { ...MS, title: 'streamed event, 200 × 50/s: added p99', most: 1 },
  jobCpu: { ...CPU, title: 'submission at full load, SQLite: CPU', most: 1 },
  jobP99: {
    ...{ unit: 'ms', digits: 2, kind: 'ratio', most: 4 },
    ...{ title: 'submission at full load, SQLite: p99', beside: 'its mean' },
  },
  jobHalfP99: { unit: 'ms', digits: 2, kind: 'ratio', most: 2, title: 'submission at half that rate: p99' },
  jobHalfStall: {
    ...{ unit: 'ms', digits: 1, kind: 'value', most: 10 },
    title: 'submission at half that rate: longest event-loop stall',
  },
  jobSmallCpu: { ...CPU, title: 'submission, 150 a second: CPU' },
  jobSmallP50: { ...MS, title: 'submission, 150 a second: p50', most: 0.4 },
  jobSmallP99: { ...MS, title: 'submission, 150 a second: p99', most: 3 },
  readP50: { unit: 'ms', digits: 2, kind: 'value', most: 0.5, title: 'read of a finished job: p50' },
  readP99: { ...MS, title: 'read of a finished job: p99' },
  readCpu: { ...CPU, title: 'read of a finished job: CPU', most: 1.2, beside: 'a running one' },
  oldReadP50: { ...MS, title: 'read of a job finished long ago: p50' },
  oldReadCpu: { ...CPU, title: 'read of a job finished long ago: CPU', beside: 'a running one' },
  lifeAsking: { ...CPU, digits: 0, title: 'life of a 2 s job, asked once a second: CPU', most: 0.7 },
  lifeReadWait: { ...CPU, digits: 0, title: 'life of a 2 s job, Prefer: wait=30 on the read: CPU', most: 0.45 },
  lifeSubmitWait: { ...CPU, digits: 0, title: 'life of a 2 s job, Prefer: wait=30 on submission: CPU', most: 0.45 },
  seenAsking: {
    ...{ unit: 's', digits: 3, kind: 'value', most: 0.15 },
    ...{ title: '50 ms job asked every 50 ms: seen after', beside: 'the node' },
  },
  seenReadWait: {
    ...{ unit: 's', digits: 3, kind: 'value', most: 0.1 },
    ...{ title: '50 ms job, Prefer: wait=30 on the read: seen after', beside: 'the node, asked' },
  },
  seenSubmitWait: {
    ...{ unit: 's', digits: 3, kind: 'value', most: 0.1 },
    ...{ title: '50 ms job, Prefer: wait=30 on submission: seen after', beside: 'the node, asked' },
  },
  streamP99: { unit: 'ms', digits: 2, kind: 'value', most: 5, title: '1,000 streams: p99 of a piece' },
  streamMemory: { unit: 'kB', digits: 1, kind: 'value', most: 16, title: '1,000 streams: resident memory of each' },
  jobMemory: {
    ...{ unit: 'MB', digits: 0, kind: 'ratio', most: 1.1 },
    ...{ title: 'jobs: resident memory at the end', beside: 'half-way' },
  },
} as const satisfies Record<string, Line>

export type LineName = keyof typeof LINES
