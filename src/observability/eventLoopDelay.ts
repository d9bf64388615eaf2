import { monitorEventLoopDelay, type ELDHistogram } from 'node:perf_hooks'
import type { Registry } from 'prom-client'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'

/** Period of the native timer whose lateness is sampled, ms. Of a stall, a sample sees what is left when the timer is due. */
export const SAMPLE_MS = 20
const BOUNDS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5]
const NS_PER_SECOND = 1e9

/**
 * How late the event loop was, sampled since the start. Nothing is ever reset, so that it does not matter who reads it and how
 * often: `nodejs_eventloop_lag_*` of prom-client are of the time since the last scrape, of whichever scraper.
 */
export function addEventLoopDelay(registry: Registry): void {
  const samples = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  const histogram = new BucketHistogram({
    name: 'infernet_gateway_event_loop_delay_seconds',
    help: `How late the main thread came to a timer of ${SAMPLE_MS} ms: stalls, by length`,
    bounds: BOUNDS_SECONDS,
    registry,
    collect: () => sortInto(buckets, samples),
  })
  const buckets = histogram.add()
  samples.enable()
}

function sortInto(buckets: Buckets, samples: ELDHistogram): void {
  const { count } = samples
  if (count === 0) return
  let left = count
  for (let at = BOUNDS_SECONDS.length; at > 0; at--) {
    const upTo = countUpTo(samples, left, BOUNDS_SECONDS[at - 1] as number)
    buckets.counts[at] = left - upTo
    left = upTo
  }
  buckets.counts[0] = left
  buckets.sum = count * delaySeconds(samples.mean)
}

/** How many of the `most` shortest samples were no later than this. Node tells a value by its rank, hence the search. */
function countUpTo(samples: ELDHistogram, most: number, seconds: number): number {
  let [low, high] = [0, most]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const value = samples.percentile((100 * middle) / samples.count)
    if (delaySeconds(value) <= seconds) low = middle
    else high = middle - 1
  }
  return low
}

/** A sample is the time between two runs of the timer, ns. */
function delaySeconds(sample: number): number {
  return Math.max(0, sample / NS_PER_SECOND - SAMPLE_MS / 1000)
}
