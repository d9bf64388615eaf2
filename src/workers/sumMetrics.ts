import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from 'prom-client'

type MetricObject = MetricObjectWithValues<MetricValue<string>>
/** The metrics of one process, as its registry tells them as JSON. */
export type MetricsOfProcess = readonly MetricObject[]

/** Names of prom-client's own measurements of the event loop, which it averages: one process that stalls would not be seen. */
const EVENT_LOOP = /^nodejs_eventloop_lag/
/** Left out by prom-client, as it has no sum. The oldest process began with the gateway. */
const START_TIME = 'process_start_time_seconds'
/** Types of metrics that only grow. */
const COUNTING = new Set(['counter', 'histogram'])
/** Jobs by owner, as one worker sees them: its own, those of others, those of replicas that are gone. */
const REPLICA_JOBS = 'infernet_gateway_replica_jobs'

/**
 * The metrics of several processes as those of one gateway: each by the aggregator that it names. Counters and histograms add, and
 * so do gauges of what a process itself has; of what all of them see alike, such as a backend, the largest value or the mean stands.
 */
export function sumMetrics(processes: readonly MetricsOfProcess[]): Promise<string> {
  const prepared = processes.map((metrics) => metrics.filter(({ name }) => name !== REPLICA_JOBS).map(withAggregator))
  const jobs = jobsByOwner(processes.flatMap((metrics) => metrics.filter(({ name }) => name === REPLICA_JOBS)))
  return AggregatorRegistry.aggregate([...prepared, jobs]).metrics()
}

/** Counts go on after the process that made them: they never fall. The counts of two processes as those of one. */
export async function addCounts(one: MetricsOfProcess, other: MetricsOfProcess): Promise<MetricsOfProcess> {
  const counts = [one, other].map((metrics) =>
    metrics
      .filter(({ type }) => COUNTING.has(String(type)))
      .map((metric) => ({ ...metric, aggregator: 'sum' as const })),
  )
  return AggregatorRegistry.aggregate(counts).getMetricsAsJSON()
}

/** The workers' own jobs are those of this gateway, and only what other replicas have besides is others'. */
function jobsByOwner(metrics: readonly MetricObject[]): MetricObject[] {
  const [first] = metrics
  if (!first) return []
  const valuesOf = (owner: string): number[] =>
    metrics.map(({ values }) => values.find(({ labels }) => labels['owner'] === owner)?.value ?? 0)
  const [own, others] = [valuesOf('self'), valuesOf('others')]
  const self = own.reduce((sum, value) => sum + value, 0)
  const living = Math.max(...own.map((value, index) => value + others[index]!))
  const jobs = { self, others: Math.max(0, living - self), gone: Math.max(...valuesOf('gone')) }
  return [{ ...first, values: Object.entries(jobs).map(([owner, value]) => ({ labels: { owner }, value })) }]
}

function withAggregator(metric: MetricObject): MetricObject {
  const { name } = metric
  if (EVENT_LOOP.test(name)) return { ...metric, aggregator: name.includes('_min_') ? 'min' : 'max' }
  if (name === START_TIME) return { ...metric, aggregator: 'min' }
  return metric
}
