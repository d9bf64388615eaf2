import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second in which the kernel tells CPU times (proc(5)). */
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** Whether the kernel tells the CPU time of a thread in nanoseconds, not only in ticks of 10 ms: a few requests take less. */
const HAS_SCHEDSTAT = existsSync('/proc/self/schedstat')

/** Seconds of CPU, user and system, that a process and its present children have used, all their threads included. */
export function cpuSeconds(pid: number): number {
  const secondsOf = HAS_SCHEDSTAT ? scheduledSeconds : (each: number) => secondsIn(`/proc/${each}/stat`)
  return processTree(pid).reduce((sum, each) => sum + secondsOf(each), 0)
}

/** Of all present threads; the servers that are measured keep theirs. */
function scheduledSeconds(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  }
  return nanoseconds / 1e9
}

/** The same for each thread of one process, under its name; threads of one name are added up. */
export function threadCpuSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    const name = Number(thread) === pid ? 'main' : stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    seconds.set(name, (seconds.get(name) ?? 0) + ticksIn(stat) / TICKS_PER_SECOND)
  }
  return seconds
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

function secondsIn(statFile: string): number {
  return ticksIn(readFileSync(statFile, 'utf8')) / TICKS_PER_SECOND
}

/** `utime` and `stime`, fields 14 and 15; the name in field 2 may hold blanks and parentheses. */
function ticksIn(stat: string): number {
  const fromThird = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fromThird[11]) + Number(fromThird[12])
}

function processTree(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(name)
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    // It ended meanwhile.
    return undefined
  }
}
