import { FAULTS, type FaultCode } from '../../faults.ts'
import type { RawActivity, RawWork } from './activity.ts'
import { quantile } from './latencies.ts'
import { boundedRows, requestsOf, type RawRow } from './workTable.ts'

const MEDIAN = 0.5
const HIGH = 0.95

/** What `/stats` tells of the last 15 minutes, made of what one process counted, or several together. */
export function toldWork({ activity, models, containers }: RawWork): Record<string, unknown> {
  return {
    activity: toldActivity(activity),
    models: boundedRows(models).map(modelRow),
    containers: boundedRows(containers).map(containerRow),
  }
}

function toldActivity(raw: RawActivity): Record<string, unknown> {
  const { period_seconds, newest_seconds, counted_seconds, counts, faults, latencies } = raw
  const total =
    latencies[0]?.map((_, bucket) => latencies.reduce((sum, period) => sum + (period[bucket] ?? 0), 0)) ?? []
  return {
    period_seconds,
    newest_seconds: rounded(newest_seconds),
    counted_seconds: rounded(counted_seconds),
    ...counts,
    p50: latencies.map((period) => seconds(period, MEDIAN)),
    p95: latencies.map((period) => seconds(period, HIGH)),
    p50_of_all: seconds(total, MEDIAN),
    p95_of_all: seconds(total, HIGH),
    faults: Object.fromEntries(Object.entries(faults).map(([code, periods]) => [code, toldFault(code, periods)])),
  }
}

function toldFault(code: string, counts: readonly number[]): Record<string, unknown> {
  const { source, message } = FAULTS[code as FaultCode]
  return { source, meaning: message, counts }
}

function modelRow(row: RawRow): Record<string, unknown> {
  const { prompt_tokens, completion_tokens } = row
  return { ...requestColumns(row), prompt_tokens, completion_tokens }
}

function containerRow(row: RawRow): Record<string, unknown> {
  const { jobs_succeeded, jobs_failed, jobs_rerun } = row
  return { ...requestColumns(row), jobs_succeeded, jobs_failed, jobs_rerun }
}

function requestColumns(row: RawRow): Record<string, unknown> {
  const { name, refused, failed, first_byte } = row
  const firstByte = { first_byte_p50: seconds(first_byte, MEDIAN), first_byte_p95: seconds(first_byte, HIGH) }
  return { name, requests: requestsOf(row), refused, failed, ...firstByte }
}

function seconds(buckets: ArrayLike<number>, share: number): number | null {
  const value = quantile(buckets, share)
  return value === null ? null : rounded(value)
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
