import { FAULTS, type FaultCode } from '../../faults.ts'
import type { RawActivity, RawWork } from './activity.ts'
import { boundedCacheRows, cachesBy, type RawCaches, type RawCacheRow } from './cacheTable.ts'
import { quantile } from './latencies.ts'
import { boundedRows, requestsOf, type RawRow } from './workTable.ts'

const MEDIAN = 0.5
const HIGH = 0.95

/** What `/stats` tells of the last 15 minutes, made of what one process counted, or several together. */
export function toldWork({ activity, models, containers, caches }: RawWork): Record<string, unknown> {
  const cachesOf = cachesBy('model', caches)
  return {
    activity: toldActivity(activity),
    models: boundedRows(models).map((row) => ({
      ...modelRow(row),
      ...cacheColumns(row.name === null ? undefined : cachesOf.get(row.name)),
    })),
    containers: boundedRows(containers).map(containerRow),
    caches: boundedCacheRows(caches).map(cacheRow),
  }
}

/** What `/stats` tells of a service's caches, by its name. */
export function cacheColumnsByService(caches: readonly RawCacheRow[]): (service: string) => CacheColumns {
  const cachesOf = cachesBy('service', caches)
  return (service) => cacheColumns(cachesOf.get(service))
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

function cacheRow(row: RawCacheRow): Record<string, unknown> {
  const { service, model, prompt_tokens, cached_tokens, warm, cold } = row
  return { service, model, prompt_tokens, cached_tokens, requests: warm + cold, warm, ...cacheColumns(row) }
}

/** Null where nothing is known. */
interface CacheColumns {
  readonly cache_hit_rate: number | null
  readonly warm_share: number | null
  readonly first_token_p50: number | null
  readonly first_token_p95: number | null
}

function cacheColumns(caches: RawCaches | undefined): CacheColumns {
  const { prompt_tokens = 0, cached_tokens = 0, warm = 0, cold = 0, first_token = [] } = caches ?? {}
  return {
    cache_hit_rate: share(cached_tokens, prompt_tokens),
    warm_share: share(warm, warm + cold),
    first_token_p50: seconds(first_token, MEDIAN),
    first_token_p95: seconds(first_token, HIGH),
  }
}

/** Null of nothing. */
function share(part: number, whole: number): number | null {
  return whole > 0 ? rounded(part / whole) : null
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
