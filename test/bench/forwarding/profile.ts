import type { Cleanups } from '../../kit/cleanups.ts'
import { allJobsEnded, startGateway } from './contenders/gateway.ts'
import { JOBS_PATH } from './contenders/contender.ts'
import { threadCpuSeconds } from './cpu.ts'
import { JOB, startFleet } from './fleet.ts'
import { Inspector } from './inspector.ts'
import { load, posting } from './load.ts'
import type { BenchOptions } from './options.ts'
import { table } from './report.ts'

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

/** What the inspector tells of one place in the code; `hitCount` is how often it was found there. */
interface ProfileNode {
  readonly callFrame: CallFrame
  readonly hitCount?: number
}

/** What is looked at. */
const PROFILED = { requests: 30_000, seconds: 30 }
const TOP = 10
/** Smaller parts are left out. */
const LEAST_SHARE = 0.01
const NOT_WORKING = new Set(['(idle)', '(root)'])

/** Where the gateway's time goes: by thread, and the functions of its main thread that take most by themselves. */
export async function measureProfile(cleanups: Cleanups, options: BenchOptions): Promise<void> {
  const nodes = (await startFleet(cleanups)).map((node) => node.address)
  const gateway = await startGateway(cleanups, nodes, 'sqlite', { NODE_OPTIONS: '--inspect=127.0.0.1:0' })
  const url = gateway.url + JOBS_PATH
  await load(posting(url, JOB), options.connections, options.warmUp)
  await allJobsEnded(gateway)

  const inspector = await Inspector.connect(/ws:\/\/\S+/.exec(gateway.output)![0])
  await inspector.ask('Profiler.enable')
  await inspector.ask('Profiler.setSamplingInterval', { interval: 500 })
  await inspector.ask('Profiler.start')
  const before = threadCpuSeconds(gateway.pid)
  const { requests } = await load(posting(url, JOB), options.connections, PROFILED)
  await allJobsEnded(gateway)
  const after = threadCpuSeconds(gateway.pid)
  const { profile } = await inspector.ask<{ profile: { nodes: ProfileNode[] } }>('Profiler.stop')
  inspector.close()

  console.log(`Where the gateway's time goes (sqlite ledger, under the profiler, ${requests} jobs)\n`)
  console.log(`${threadTable(before, after, requests)}\n`)
  const functions = sharesBy(profile.nodes, placeOf).slice(0, TOP)
  const parts = sharesBy(profile.nodes, partOf).filter(([, share]) => share >= LEAST_SHARE)
  console.log(`${shareTable('function of the main thread', functions)}\n`)
  console.log(`${shareTable('part of it', parts)}\n`)
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

/** Shares of the time at work, largest first, by what `nameOf` makes of a place in the code. */
function sharesBy(
  nodes: readonly ProfileNode[],
  nameOf: (frame: CallFrame) => string,
): [name: string, share: number][] {
  const working = nodes.filter(({ callFrame }) => !NOT_WORKING.has(callFrame.functionName))
  const all = working.reduce((sum, { hitCount = 0 }) => sum + hitCount, 0)
  const shares = new Map<string, number>()
  for (const { callFrame, hitCount = 0 } of working) {
    const name = nameOf(callFrame)
    shares.set(name, (shares.get(name) ?? 0) + hitCount / all)
  }
  return [...shares].sort(([, a], [, b]) => b - a)
}

function shareTable(title: string, shares: readonly [name: string, share: number][]): string {
  return table(
    [title, 'self time'],
    shares.map(([name, share]) => [name, `${(100 * share).toFixed(1)} %`]),
  )
}

/** `(program)` is what runs outside JavaScript: mostly the system's calls. */
function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)'
  if (url === '') return name
  const file = url.replace(/^.*\/node_modules\//, '').replace(/^file:.*\/(src\/.*)$/, '$1')
  return `${name} ${file}:${lineNumber + 1}`
}

/** A package, a folder of ours, or what of Node it is. */
function partOf({ functionName, url }: CallFrame): string {
  const ownFolder = /\/(src\/[^/]+)(?:\/|$)/.exec(url)?.[1]
  const packageName = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (packageName) return packageName
  if (ownFolder) return ownFolder
  if (url.startsWith('node:')) return 'Node, JavaScript'
  return functionName === '(garbage collector)' ? functionName : 'Node, native, and the system'
}
