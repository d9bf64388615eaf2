/** Upper bound of the first bucket, seconds, and by how many times each further one is larger. */
const FIRST_SECONDS = 0.001
const RATIO = 1.3
const LOG_RATIO = Math.log(RATIO)

/** Buckets of a histogram of times: up to 1 ms, then each 30 % wider, up to 8 minutes, and one for what is longer. */
export const LATENCY_BUCKETS = 52

/** The bucket that a time falls into. */
export function bucketOf(seconds: number): number {
  if (seconds <= FIRST_SECONDS) return 0
  return Math.min(LATENCY_BUCKETS - 1, Math.ceil(Math.log(seconds / FIRST_SECONDS) / LOG_RATIO))
}

/**
 * The time that this share of all values does not exceed, seconds, as exactly as the buckets allow (within 30 %); null where
 * there are no values.
 */
export function quantile(counts: ArrayLike<number>, share: number): number | null {
  let total = 0
  for (let i = 0; i < counts.length; i++) total += counts[i] as number
  if (total === 0) return null
  const rank = share * total
  let below = 0
  for (let i = 0; i < counts.length; i++) {
    const here = counts[i] as number
    if (here > 0 && below + here >= rank) return secondsWithin(i, (rank - below) / here)
    below += here
  }
  return secondsWithin(counts.length - 1, 1)
}

/** Values are taken to lie evenly within their bucket. */
function secondsWithin(bucket: number, share: number): number {
  const upper = FIRST_SECONDS * RATIO ** bucket
  const lower = bucket === 0 ? 0 : upper / RATIO
  return lower + share * (upper - lower)
}
