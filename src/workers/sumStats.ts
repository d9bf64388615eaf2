import { addLists, sumActivity, type Activity } from './sumActivity.ts'
import { sumQueues, type Queue } from './sumQueues.ts'

/** What `/stats` tells of one process, as far as the sums know it. */
type Stats = Record<string, unknown>
type Merge = (values: readonly unknown[], all: readonly Stats[]) => unknown

const numbers = (values: readonly unknown[]): number[] => values.filter((value) => typeof value === 'number')

const sum: Merge = (values) => numbers(values).reduce((total, value) => total + value, 0)
const largest: Merge = (values) => Math.max(...numbers(values))
const mean: Merge = (values) => rounded((sum(values, []) as number) / Math.max(1, numbers(values).length))
const first: Merge = ([value]) => value
const any: Merge = (values) => values.includes(true)
const every: Merge = (values) => !values.includes(false)
/** The mean of a time, by how many requests each process has seen. */
const byRequests: Merge = (values, all) => {
  const weights = all.map((one) => Number(one['request_count']) || 0)
  const total = weights.reduce((before, weight) => before + weight, 0)
  if (total === 0) return mean(values, all)
  return rounded(values.reduce<number>((before, value, index) => before + Number(value) * weights[index]!, 0) / total)
}
const latest: Merge = (values) =>
  values
    .filter((value) => typeof value === 'string')
    .sort()
    .at(-1) ?? null
/** The earliest, where all of them tell one. */
const earliest: Merge = (values) => (values.includes(null) ? null : [...values].sort()[0])
/** The first of these words that any of them says. */
const bestOf =
  (words: readonly string[]): Merge =>
  (values) =>
    words.find((word) => values.includes(word))
/** That of those with the best word on where they have it from; the largest of several. */
const byOrigin =
  (origin: string, words: readonly string[], merge: Merge): Merge =>
  (values, all) => {
    const best = bestOf(words)(
      all.map((one) => one[origin]),
      all,
    )
    const having = all.filter((one) => one[origin] === best)
    return merge(
      values.filter((_, index) => all[index]![origin] === best),
      having,
    )
  }
const elementwise: Merge = (values) => (values as (readonly number[])[]).reduce(addLists)
const union: Merge = (values) => [...new Set(values.flatMap((value) => value as unknown[]))]
const each =
  (merges: Readonly<Record<string, Merge>>, otherwise: Merge = first): Merge =>
  (values) =>
    merged(values as readonly Stats[], merges, otherwise)
/** Elements of lists that have the same key are one. */
const byKey =
  (keyOf: (element: Stats) => unknown, merges: Readonly<Record<string, Merge>>, otherwise: Merge = first): Merge =>
  (values) => {
    const groups = new Map<unknown, Stats[]>()
    for (const element of values.flatMap((value) => value as Stats[])) {
      const key = keyOf(element)
      const group = groups.get(key)
      if (group) group.push(element)
      else groups.set(key, [element])
    }
    return [...groups.values()].map((group) => (group.length > 1 ? merged(group, merges, otherwise) : group[0]))
  }
const byName = (name: string, merges: Readonly<Record<string, Merge>>, otherwise?: Merge): Merge =>
  byKey((element) => element[name], merges, otherwise)

const SERVICE_ORIGINS = ['learnt', 'fleet', 'default']
const CONCURRENCY_ORIGINS = ['set', 'learnt', 'default']

/** What a worker did at a backend adds up; of what all believe of it one word stands. */
const SERVICE: Readonly<Record<string, Merge>> = {
  healthy: any,
  several_nodes: any,
  request_count: sum,
  error_count: sum,
  response_time: byRequests,
  in_flight: sum,
  pending: largest,
  unfinished: sum,
  load: largest,
  unseen: sum,
  service_time: byOrigin('service_time_from', SERVICE_ORIGINS, mean),
  service_time_from: bestOf(SERVICE_ORIGINS),
  concurrency: byOrigin('concurrency_from', CONCURRENCY_ORIGINS, largest),
  concurrency_from: bestOf(CONCURRENCY_ORIGINS),
  drain: (values, all) => bestOf(['draining', 'drained'])(values, all) ?? null,
  down_since: earliest,
  last_asked: latest,
  failure_level: largest,
  black_hole_suspicion: largest,
  ejected_until: latest,
  avoided: byName('kind', {}),
  why_avoided: byKey(({ cause, kind }) => JSON.stringify([cause, kind]), { until: latest }),
  containers: union,
  models: union,
}

/** Counts of one model or container. */
const WORK = byName('name', { name: first, first_byte: elementwise }, sum)

/** What caches did, by service and model. */
const CACHES = byKey(
  ({ service, model }) => JSON.stringify([service, model]),
  { service: first, model: first, first_token: elementwise },
  sum,
)

const STATS: Readonly<Record<string, Merge>> = {
  total_services: largest,
  services: byName('name', SERVICE),
  running_requests: sum,
  activity: (values) => sumActivity(values as readonly Activity[]),
  models: WORK,
  containers: WORK,
  caches: CACHES,
  queue: (values) => sumQueues(values as readonly (Queue | null)[]),
  jobs: each({ unfinished: sum, recordable: every }),
  memory: each({ refused: each({}, sum) }, sum),
  fleet: each({ service_time: mean, mean_latency: mean, kinds: byName('kind', { weight: mean, jobs: sum }) }),
  // All have read the same files.
  bad_lines: first,
  bad_lines_total: first,
  uptime: largest,
  draining: any,
}

/**
 * What `/stats` tells of several processes that are one gateway. The first is the one that was asked; not all need have answered.
 * `former`: what those that have ended counted of the last 15 minutes.
 */
export function sumStats(all: readonly Stats[], answered: number, former?: Activity): Stats {
  const stats = merged(former ? [...all, { activity: former }] : all, STATS)
  const services = stats['services'] as Stats[]
  for (const service of services) if (service['healthy'] === true) isUpForSome(service)
  return { ...stats, healthy_services: services.filter(({ healthy }) => healthy === true).length, workers: answered }
}

/** A worker that has not polled it yet, or could not, has nothing to say against one that could. */
function isUpForSome(service: Stats): void {
  delete service['reason']
  service['down_since'] = null
  const causes = service['why_avoided'] as readonly Stats[] | undefined
  if (causes) service['why_avoided'] = causes.filter(({ cause }) => cause !== 'down' && cause !== 'not_polled')
}

function merged(all: readonly Stats[], merges: Readonly<Record<string, Merge>>, otherwise: Merge = first): Stats {
  const names = new Set(all.flatMap((one) => Object.keys(one)))
  return Object.fromEntries(
    [...names].map((name) => {
      const having = all.filter((one) => one[name] !== undefined)
      const merge = merges[name] ?? otherwise
      return [
        name,
        merge(
          having.map((one) => one[name]),
          having,
        ),
      ]
    }),
  )
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}
