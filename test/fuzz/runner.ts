/** Sends one case, and judges what comes back. */
import { connect, type Socket } from 'node:net'
import { readAnswers, type FuzzAnswer } from './answers.ts'
import type { FuzzCase } from './cases.ts'
import { BACKEND_HEADER } from './hostility.ts'

/** A client that waits gets its answer within this, ms: longer than all time-outs of the gateway together. */
const PATIENCE_MS = 30_000
/** A request that is not well framed may leave the gateway waiting for its rest; after this the client closes, ms. */
const UNSOUND_PATIENCE_MS = 300

export interface Verdict {
  readonly received: string
  readonly answers: readonly FuzzAnswer[]
  /** Rules that were broken. */
  readonly faults: readonly string[]
}

/** What a connection came to: all that was received, and whether the gateway closed it. */
interface End {
  readonly received: string
  readonly isClosedByPeer: boolean
}

export async function runCase(port: number, one: FuzzCase): Promise<Verdict> {
  const end = await exchange(port, one)
  try {
    const answers = readAnswers(end.received, one)
    return { received: end.received, answers, faults: judge(one, answers, end) }
  } catch (error) {
    return { received: end.received, answers: [], faults: [(error as Error).message] }
  }
}

function exchange(port: number, one: FuzzCase): Promise<End> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.0.${one.caller}`, allowHalfOpen: true })
    let received = ''
    let isClosedByPeer = false
    const timers: NodeJS.Timeout[] = []
    const leave = (): void => {
      if (one.leaving === 'resets') socket.resetAndDestroy()
      else socket.destroy()
    }
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1')
      if ((one.leaving === 'closes' || one.leaving === 'resets') && received.length >= one.leavesAfterBytes) leave()
    })
    socket.on('end', () => {
      isClosedByPeer = true
      socket.end()
    })
    socket.on('error', () => (isClosedByPeer = true))
    socket.on('close', () => {
      for (const timer of timers) clearTimeout(timer)
      resolve({ received, isClosedByPeer })
    })
    socket.on('connect', () => {
      send(socket, one)
      const patience = one.leaving === 'waits' || one.leaving === 'half-closes' ? patienceWith(one) : one.leavesAfterMs
      timers.push(setTimeout(leave, patience))
    })
  })
}

function patienceWith({ isSound, leaving }: FuzzCase): number {
  return isSound || leaving === 'half-closes' ? PATIENCE_MS : UNSOUND_PATIENCE_MS
}

function send(socket: Socket, { packets, leaving }: FuzzCase): void {
  let at = 0
  const next = (): void => {
    if (socket.destroyed || !socket.writable) return
    const packet = packets[at++]
    if (packet !== undefined) {
      socket.write(packet)
      setImmediate(next)
    } else if (leaving === 'half-closes') socket.end()
  }
  next()
}

function judge(one: FuzzCase, answers: readonly FuzzAnswer[], { isClosedByPeer }: End): string[] {
  const faults = answers.flatMap((answer, i) => judgeAnswer(answer, one.methods[i]))
  const most = one.isSound ? one.methods.length : one.methods.length + 1
  if (answers.length > most) faults.push(`${answers.length} answers to ${one.methods.length} requests`)
  if (one.leaving === 'closes' || one.leaving === 'resets' || !one.isSound) return faults
  const last = answers.at(-1)
  const isOver = last !== undefined && (!last.isComplete || last.headers.get('connection') === 'close')
  if (!isClosedByPeer) faults.push('the connection was not closed, although its last request asks for it')
  if (answers.length < one.methods.length && !isOver) {
    faults.push(`${answers.length} answers to ${one.methods.length} requests`)
  }
  return faults
}

function judgeAnswer({ status, headers, body, isComplete }: FuzzAnswer, method: string | undefined): string[] {
  // The gateway itself names no server; the honest backends do.
  const isBackends = headers.has(BACKEND_HEADER) || headers.has('server')
  if (status === 0 || isBackends) return []
  const faults: string[] = []
  if (status === 500) faults.push('an answer of 500')
  if (status < 400 || method === 'HEAD') return faults
  if (!isComplete) return [...faults, `an error of ${status} that broke off`]
  if (!/^application\/json\b/.test(headers.get('content-type') ?? '') || !isErrorBody(body)) {
    faults.push(`an error of ${status} that is no JSON error`)
  }
  if ((status === 429 || status === 503) && !(Number(headers.get('retry-after')) >= 1)) {
    faults.push(`a ${status} without Retry-After`)
  }
  return faults
}

/** The one shape of errors, OpenAI's, and Anthropic's. Unready pages speak for themselves. */
function isErrorBody(body: string): boolean {
  try {
    const value = JSON.parse(Buffer.from(body, 'latin1').toString()) as { error?: unknown; status?: unknown }
    if (typeof value.status === 'string') return true
    if (typeof value.error === 'string') return true
    return typeof (value.error as { message?: unknown } | undefined)?.message === 'string'
  } catch {
    return false
  }
}
