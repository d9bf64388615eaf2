/** What the tests of jobs share: callers that submit, ask and wait. */
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode, FakeNodeOptions } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** One entry of `GET /api/jobs?id=…`. */
export interface JobEntry {
  id: string
  status: 'running' | 'success' | 'failed'
  result: { container: string; output?: unknown; error?: string } | null
  intermediate_results?: unknown[]
}

/** Where to send: a gateway, and for whoever shares one with others, a container and a caller's address of their own. */
export interface Target {
  readonly url: string
  /** Default: `echo`. */
  readonly container?: string
  /** Default: 127.0.0.1. */
  readonly from?: string
}

/** Who sends, where it is not the target's own caller, and with which headers. */
export interface From {
  from?: string
  headers?: Record<string, string>
}

/** Cleans up after all tests of the suite in which it is called. */
export function afterSuite(): Cleanup {
  const tasks: (() => unknown)[] = []
  after(async () => {
    for (const task of tasks.reverse()) await task()
  })
  return { after: (task) => tasks.push(task) }
}

/** Nodes without limits of their own, stopped after the test. */
export function startNodes(t: Cleanup, count: number, options: FakeNodeOptions = {}): Promise<LocalFakeNode[]> {
  return Promise.all(Array.from({ length: count }, () => startFakeNode({ rateLimit: 0, ...options }, t)))
}

export function optionsOf(target: Target, { from = target.from, headers }: From = {}): RequestOptions {
  return { ...(from !== undefined && { localAddress: from }), ...(headers && { headers }) }
}

export function submitTo(target: Target, body: object | string, from: From = {}): Promise<Answer> {
  return post(`${target.url}/api/jobs`, body, optionsOf(target, from))
}

/** Submits a job that has to be accepted; returns its id. */
export async function submitted(target: Target, data: object = {}, from: From = {}): Promise<string> {
  const answer = await submitTo(target, jobOf(data, [target.container ?? 'echo']), from)
  assert.equal(answer.status, 200, answer.text)
  const { id } = answer.json<{ id: string }>()
  assert.match(id, /^[0-9a-f-]{36}$/)
  return id
}

/** Submits jobs side by side, `data` made from the index; returns their ids in order. */
export function submitMany(
  target: Target,
  count: number,
  data: (index: number) => object = (n) => ({ n }),
  from: From = {},
): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => submitted(target, data(index), from)))
}

/** `GET /api/jobs` with any query. */
export function ask(target: Target, query = '', from: From = {}): Promise<Answer> {
  return request(`${target.url}/api/jobs${query}`, optionsOf(target, from))
}

export async function listed(target: Target, query = '', from: From = {}): Promise<string[]> {
  const answer = await ask(target, query, from)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<string[]>()
}

/** The caller's entries for these ids. */
export async function entriesOf(target: Target, ids: readonly string[], from: From = {}): Promise<JobEntry[]> {
  const answer = await ask(target, `?${ids.map((id) => `id=${id}`).join('&')}`, from)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<JobEntry[]>()
}

/** Waits until all these jobs have a final state; returns their entries in the order of the ids. */
export async function ended(
  target: Target,
  ids: readonly string[],
  { withinMs = 30_000, ...from }: From & { withinMs?: number } = {},
): Promise<JobEntry[]> {
  let entries: JobEntry[] = []
  const isRunning = ({ status }: JobEntry): boolean => status === 'running'
  const look = async (): Promise<boolean> => {
    entries = await entriesOf(target, ids, from)
    return entries.length === ids.length && !entries.some(isRunning)
  }
  await eventually(look, { withinMs, everyMs: 100 }).catch((cause: unknown) => {
    const running = entries.filter(isRunning).length
    throw new Error(`of ${ids.length} jobs ${entries.length} are known, ${running} still run`, { cause })
  })
  return entries
}

/** Fails unless the job succeeded with the echo of its own input. */
export function assertEchoed(entry: JobEntry | undefined, data: object): void {
  assert.equal(entry?.status, 'success', JSON.stringify(entry))
  const { container } = entry.result!
  assert.deepEqual(entry.result, { container, output: { container, echo: data } })
}

/** Fails unless the job failed with a result of the gateway's own; returns the reason. */
export function assertFailed(entry: JobEntry | undefined, container: string): string {
  assert.equal(entry?.status, 'failed', JSON.stringify(entry))
  const { error = '', ...rest } = entry.result!
  assert.deepEqual(rest, { container })
  assert.notEqual(error, '')
  return error
}

/** How many jobs these nodes were given, by any call. */
export async function runsOn(nodes: readonly { jobs(): Promise<unknown[]> }[]): Promise<number> {
  const traces = await Promise.all(nodes.map((node) => node.jobs()))
  return traces.reduce((sum, { length }) => sum + length, 0)
}
