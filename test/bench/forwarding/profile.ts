import type { Cleanups } from './cleanups.ts'
import { allJobsEnded, startGateway } from './contenders/gateway.ts'
import { JOBS_PATH } from './contenders/contender.ts'
import { threadCpuSeconds } from './cpu.ts'
import { JOB, startFleet } from './fleet.ts'
import { Inspector } from './inspector.ts'
import { load } from './load.ts'
import type { BenchOptions } from './options.ts'
import { table } from './report.ts'

/** What the inspector tells of one place in the code; `hitCount` is how often it was found there. */
interface ProfileNode {
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly hitCount?: number
}

const TOP = 10
const NOT_WORKING = new Set(['(idle)', '(root)'])

/** Where the gateway's time goes: by thread, and the functions of its main thread that take most by themselves. */
export async function measureProfile(cleanups: Cleanups, options: BenchOptions): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  const gateway = await startGateway(cleanups, nodes, 'sqlite', { NODE_OPTIONS: '--inspect=127.0.0.1:0' })
  const url = gateway.url + JOBS_PATH
  await load(url, JOB, options.connections, { seconds: options.warmUpSeconds })
  await allJobsEnded(gateway)

  const inspector = await Inspector.connect(/ws:\/\/\S+/.exec(gateway.output)![0])
  await inspector.ask('Profiler.enable')
  await inspector.ask('Profiler.setSamplingInterval', { interval: 500 })
  await inspector.ask('Profiler.start')
  const before = threadCpuSeconds(gateway.pid)
  const { requests } = await load(url, JOB, options.connections, { seconds: 2 * options.roundSeconds })
  await allJobsEnded(gateway)
  const after = threadCpuSeconds(gateway.pid)
  const { profile } = await inspector.ask<{ profile: { nodes: ProfileNode[] } }>('Profiler.stop')
  inspector.close()

  console.log(`Where the gateway's time goes (sqlite ledger, under the profiler, ${requests} jobs)\n`)
  console.log(`${threadTable(before, after, requests)}\n`)
  console.log(`${functionTable(profile.nodes)}\n`)
}

function threadTable(before: Map<string, number>, after: Map<string, number>, jobs: number): string {
  const rows = [...after]
    .map(([name, seconds]) => ({ name, microseconds: ((seconds - (before.get(name) ?? 0)) / jobs) * 1e6 }))
    .filter(({ microseconds }) => microseconds >= 0.5)
    .sort((a, b) => b.microseconds - a.microseconds)
  return table(
    ['thread', 'CPU µs/job'],
    rows.map(({ name, microseconds }) => [name, microseconds.toFixed(1)]),
  )
}

function functionTable(nodes: readonly ProfileNode[]): string {
  const hits = new Map<string, number>()
  let all = 0
  for (const { callFrame, hitCount = 0 } of nodes) {
    if (NOT_WORKING.has(callFrame.functionName)) continue
    all += hitCount
    const place = placeOf(callFrame)
    hits.set(place, (hits.get(place) ?? 0) + hitCount)
  }
  const top = [...hits].sort(([, a], [, b]) => b - a).slice(0, TOP)
  return table(
    ['function of the main thread', 'self time'],
    top.map(([place, count]) => [place, `${((100 * count) / all).toFixed(1)} %`]),
  )
}

/** `(program)` is what runs outside JavaScript: mostly the system's calls. */
function placeOf({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  const name = functionName || '(anonymous)'
  if (url === '') return name
  const file = url.replace(/^.*\/node_modules\//, '').replace(/^file:.*\/(src\/.*)$/, '$1')
  return `${name} ${file}:${lineNumber + 1}`
}
