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
const union: Merge = (values) => [...new Set(values.flatMap((value) => value as unknown[]))]
const each =
  (merges: Readonly<Record<string, Merge>>, otherwise: Merge = first): Merge =>
  (values) =>
    merged(values as readonly Stats[], merges, otherwise)
/** Elements of lists that have the same name are one. */
const byName =
  (name: string, merges: Readonly<Record<string, Merge>>): Merge =>
  (values) => {
    const groups = new Map<unknown, Stats[]>()
    for (const element of values.flatMap((value) => value as Stats[])) {
      const group = groups.get(element[name])
      if (group) group.push(element)
      else groups.set(element[name], [element])
    }
    return [...groups.values()].map((group) => (group.length > 1 ? merged(group, merges) : group[0]))
  }

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
  service_time: mean,
  concurrency: largest,
  failure_level: largest,
  black_hole_suspicion: largest,
  ejected_until: latest,
  avoided: byName('kind', {}),
  containers: union,
  models: union,
}

const STATS: Readonly<Record<string, Merge>> = {
  total_services: largest,
  services: byName('name', SERVICE),
  running_requests: sum,
  jobs: each({ unfinished: sum, recordable: every }),
  memory: each({ refused: each({}, sum) }, sum),
  fleet: each({ service_time: mean, mean_latency: mean, kinds: byName('kind', { weight: mean, jobs: sum }) }),
  // All have read the same files.
  bad_lines: first,
  bad_lines_total: first,
  uptime: largest,
  draining: any,
}

/** What `/stats` tells of several processes that are one gateway. The first is the one that was asked; not all need have answered. */
export function sumStats(all: readonly Stats[], answered: number): Stats {
  const stats = merged(all, STATS)
  const services = stats['services'] as Stats[]
  for (const service of services) if (service['healthy'] === true) delete service['reason']
  return { ...stats, healthy_services: services.filter(({ healthy }) => healthy === true).length, workers: answered }
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
