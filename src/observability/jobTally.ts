import { Counter, type Registry } from 'prom-client'
import type { LiveJobs } from '../jobs/liveJobs.ts'
import { BoundedLabels } from './boundedLabels.ts'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import { jobSeconds } from './jobSeconds.ts'

/** Sets of containers with a label value of their own. */
const MAX_SETS = 100
/** Upper bounds of how long jobs take, seconds. */
const BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800]
const STATES = ['success', 'failed'] as const

/** What became of jobs, and how long they took, by the containers that they ran. */
export function tallyJobs(registry: Registry, live: LiveJobs): void {
  const registers = [registry]
  const ended = new Counter({
    name: 'infernet_gateway_jobs_ended_total',
    help: 'Jobs that reached a final state',
    labelNames: ['state'],
    registers,
  })
  // A failure that is the first of all would else not be seen as an increase.
  for (const state of STATES) ended.inc({ state }, 0)
  const rerun = new Counter({
    name: 'infernet_gateway_jobs_rerun_total',
    help: 'Jobs that were run again because their node lost them',
    registers,
  })
  const seconds = new BucketHistogram({
    name: 'infernet_gateway_job_seconds',
    help: 'Time from the acceptance of a job to its end, over all its runs, by its containers and final state',
    bounds: BOUNDS,
    registry,
  })
  const labels = new BoundedLabels(MAX_SETS)
  const series = new Map<string, Record<(typeof STATES)[number], Buckets>>()
  const seriesOf = (containers: string): Record<(typeof STATES)[number], Buckets> => {
    let known = series.get(containers)
    if (!known) {
      const [success, failed] = STATES.map((state) => seconds.add({ containers, state })) as [Buckets, Buckets]
      series.set(containers, (known = { success, failed }))
    }
    return known
  }
  live.on('ended', ({ record }, { state }) => {
    ended.inc({ state })
    seriesOf(labels.of(record.containers.join(',')))[state].observe(jobSeconds(record))
  })
  live.on('rerun', () => rerun.inc())
}
