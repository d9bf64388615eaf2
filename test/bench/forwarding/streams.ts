import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { request } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import type { Cleanups } from '../../kit/cleanups.ts'
import { startGateway } from './contenders/gateway.ts'
import { cpuSeconds, residentBytes } from './cpu.ts'
import type { Findings } from './findings.ts'
import type { BenchOptions } from './options.ts'
import { megabytes, quantile, table } from './report.ts'
import { STAMP } from './stamp.ts'
import { ReadStream } from './readStream.ts'

const NODE = fileURLToPath(new URL('stampingNode.ts', import.meta.url))
const NODES = 3
const PIECE_MS = 1000
/** Streams opened in one go: so that their pieces spread over the second. */
const OPENED_AT_ONCE = 10
/** A stream that is silent for this long is not alive, ms. */
const SILENT_MS = 3 * PIECE_MS

/** Many streams of one piece a second: how many live, what each takes, how late its pieces are. */
export async function measureStreams(cleanups: Cleanups, options: BenchOptions, findings: Findings): Promise<void> {
  const { streamCount, streamSeconds } = options
  const nodes = await Promise.all(Array.from({ length: NODES }, () => startStampingNode(cleanups)))
  const gateway = await startGateway(cleanups, nodes, 'sqlite')
  console.log(`${streamCount} streams of one piece a second, watched for ${streamSeconds} s (sqlite ledger)\n`)
  // What the first streams need once is not what each of them needs.
  const first = await openStreams(gateway, Math.ceil(streamCount / 10))
  await sleep(PIECE_MS)
  for (const stream of first) stream.leave()
  await sleep(PIECE_MS)
  const before = await memoryOf(gateway)

  const streams = await openStreams(gateway, streamCount)
  await sleep(2 * PIECE_MS)
  for (const stream of streams) stream.forgetDelays()
  const cpuBefore = cpuSeconds(gateway.pid)
  await sleep(streamSeconds * 500)
  const halfWay = residentBytes(gateway.pid)
  await sleep(streamSeconds * 500)
  const cpu = cpuSeconds(gateway.pid) - cpuBefore
  const after = await memoryOf(gateway)
  const alive = streams.filter((stream) => stream.isAlive(SILENT_MS)).length
  const delaysMs = streams.flatMap((stream) => stream.delaysMs)
  for (const stream of streams) stream.leave()

  findings.note('streamP99', [quantile(delaysMs, 0.99)])
  findings.note('streamMemory', [after.resident / 2 ** 20], [halfWay / 2 ** 20])
  const rows = [
    ['alive at the end', `${alive} of ${streamCount}`],
    ['pieces', String(delaysMs.length)],
    ['piece delay p50', `${quantile(delaysMs, 0.5).toFixed(2)} ms`],
    ['piece delay p99', `${quantile(delaysMs, 0.99).toFixed(2)} ms`],
    ['piece delay, longest', `${quantile(delaysMs, 1).toFixed(2)} ms`],
    ['resident memory a stream', kilobytes((after.resident - before.resident) / streamCount)],
    ['heap a stream', kilobytes((after.heap - before.heap) / streamCount)],
    [
      'resident memory before, half-way, at the end',
      `${megabytes(before.resident)} → ${megabytes(halfWay)} → ${megabytes(after.resident)}`,
    ],
    ['CPU per piece', `${((cpu / delaysMs.length) * 1e6).toFixed(1)} µs`],
  ]
  console.log(`${table(['streams', ''], rows)}\n`)
}

async function startStampingNode(cleanups: Cleanups): Promise<string> {
  const child = spawn(process.execPath, [NODE], { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanups.after(() => child.kill())
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return `127.0.0.1:${(JSON.parse(line) as { port: number }).port}`
}

async function openStreams(gateway: Gateway, count: number): Promise<ReadStream[]> {
  const data = { pieces: 1_000_000, pieceMs: PIECE_MS, text: STAMP }
  const body = JSON.stringify({ containers: ['echo'], data })
  const streams: ReadStream[] = []
  while (streams.length < count) {
    const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - streams.length) }, () =>
      ReadStream.open(`${gateway.url}/api/jobs/stream`, body),
    )
    streams.push(...(await Promise.all(some)))
    await sleep((PIECE_MS * OPENED_AT_ONCE) / count)
  }
  return streams
}

interface Memory {
  /** Bytes. */
  readonly resident: number
  readonly heap: number
}

async function memoryOf(gateway: Gateway): Promise<Memory> {
  const { text } = await request(`${gateway.url}/metrics`)
  const heap = Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(text)?.[1])
  return { resident: residentBytes(gateway.pid), heap }
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} kB`
}
