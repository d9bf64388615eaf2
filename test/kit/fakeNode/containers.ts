/**
 * What the containers of a fake node make of a job. Its `data` says what a test wants of them:
 *
 * | member of `data` | meaning |
 * | --- | --- |
 * | `seconds` | service time |
 * | `output` | the output, byte for byte; else `{"echo": data, "container": id}` |
 * | `fail` | the last container fails with this text |
 * | `pieces` | streams: how many, or a list of texts; without it and `text`, one piece: `data` itself |
 * | `text`, `pieceBytes`, `sse` | what each piece says, its size, whether it is an SSE event |
 * | `pieceMs`, `firstMs` | milliseconds between pieces (else the service time is spread over them), and before the first |
 * | `failAfter`, `dieAfter`, `stallAfter` | after so many pieces: end as if complete and fail, break the connection, say no more |
 * | `dieHow` | `reset` or `close`, the default |
 */
import { asciiJson, memberSpan } from './jsonText.ts'
import type { JobStatus, ResultText } from './jobs.ts'
import type { Settings } from './options.ts'
import type { JobSubmission } from './submission.ts'

/** What a stream is to do. */
export interface StreamPlan {
  pieces: number
  /** The bytes (latin1) of piece i. */
  piece: (i: number) => string
  gapMs: number
  firstMs: number
  failAfter: number | undefined
  dieAfter: number | undefined
  stallAfter: number | undefined
  complaint: string
}

const UNREACHABLE = "Cannot connect to host localhost:3000 ssl:default [Connect call failed ('127.0.0.1', 3000)]"
const CUT_SHORT =
  'Response payload is not completed: ' +
  "<TransferEncodingError: 400, message='Not enough data for satisfy transfer length header.'>"

/** Runs the pipeline: each container is given the output of the one before it. */
export function pipelineResults(job: JobSubmission, settings: Settings): { status: JobStatus; results: ResultText[] } {
  const results: ResultText[] = []
  let input = job.data
  for (const [i, id] of job.containers.entries()) {
    const isLast = i === job.containers.length - 1
    const complaint = complaintOf(id, isLast, job, settings)
    if (complaint !== undefined) return { status: 'failed', results: [...results, errorResult(id, complaint)] }
    const given = isLast && 'output' in job.script ? memberSpan(job.data, 'output') : undefined
    input = given ? job.data.slice(given.start, given.end) : `{"echo":${input},"container":${asciiJson(id)}}`
    results.push(outputResult(id, input))
  }
  return { status: 'success', results }
}

/** Only the first container of a stream runs. */
export function streamPlan(job: JobSubmission, settings: Settings, serviceMs: number): StreamPlan {
  const { script } = job
  const texts = Array.isArray(script.pieces) ? script.pieces.map(String) : undefined
  const isScripted = script.pieces !== undefined || script.text !== undefined
  const pieces = texts?.length ?? number(script.pieces) ?? 1
  const pieceMs = number(script.pieceMs)
  const spreadMs = serviceMs / Math.max(1, pieces)
  const isDead = isDeadContainer(job.containers[0]!, settings)
  return {
    pieces,
    piece: (i) => (isScripted ? pieceText(script, texts?.[i], i) : job.data),
    gapMs: pieceMs ?? spreadMs,
    firstMs: number(script.firstMs) ?? (pieceMs === undefined ? spreadMs : 0),
    failAfter: isDead ? 0 : (number(script.failAfter) ?? (isToFail(script) ? 0 : undefined)),
    dieAfter: number(script.dieAfter),
    stallAfter: number(script.stallAfter),
    complaint: isDead ? UNREACHABLE : typeof script.fail === 'string' ? script.fail : CUT_SHORT,
  }
}

export function outputResult(container: string, output: string): ResultText {
  return `{"container":${asciiJson(container)},"output":${output}}`
}

export function errorResult(container: string, error: string): ResultText {
  return `{"container":${asciiJson(container)},"error":${asciiJson(error)}}`
}

function complaintOf(id: string, isLast: boolean, { script }: JobSubmission, settings: Settings): string | undefined {
  if (isDeadContainer(id, settings)) return UNREACHABLE
  if (!isLast || !isToFail(script)) return undefined
  return typeof script.fail === 'string' ? script.fail : 'container failed'
}

function isToFail(script: Record<string, unknown>): boolean {
  return script.fail === true || typeof script.fail === 'string'
}

function isDeadContainer(id: string, settings: Settings): boolean {
  return settings.containers.some((container) => container.id === id && container.dead)
}

function pieceText(script: Record<string, unknown>, given: string | undefined, i: number): string {
  const words = given ?? (typeof script.text === 'string' ? script.text : `piece${i} `)
  const bytes = Buffer.from(words).toString('latin1')
  const size = number(script.pieceBytes)
  const sized = size === undefined ? bytes : bytes.padEnd(size, '.').slice(0, size)
  return script.sse ? `data: ${sized}\n\n` : sized
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
