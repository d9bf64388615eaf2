/** What the tests of jobs share: a gateway in front of simulated nodes, and callers that submit, ask and wait. */
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { startSimNode } from '../../kit/simNode/index.ts'
import type { LocalSimNode, SimNodeOptions } from '../../kit/simNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** One entry of `GET /api/jobs?id=…`. */
export interface JobEntry {
  id: string
  status: 'running' | 'success' | 'failed'
  result: { container: string; output?: unknown; error?: string } | null
  intermediate_results?: unknown[]
}

/** Whatever has a base URL. */
export interface Target {
  readonly url: string
}

/** Options of a request, with the caller's address by a shorter name. */
export interface From {
  /** The caller's address. */
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
export function startNodes(t: Cleanup, count: number, options: SimNodeOptions = {}): Promise<LocalSimNode[]> {
  return Promise.all(Array.from({ length: count }, () => startSimNode({ rateLimit: 0, ...options }, t)))
}

export function optionsOf({ from, headers }: From): RequestOptions {
  return { ...(from !== undefined && { localAddress: from }), ...(headers && { headers }) }
}

/** A job for `containers`; of its `data` the simulated node reads what they are to do. */
export function jobOf(data: object, containers: readonly string[] = ['echo']): object {
  return { containers, data }
}

export function submitTo(target: Target, body: object | string, from: From = {}): Promise<Answer> {
  return post(`${target.url}/api/jobs`, body, optionsOf(from))
}

/** Submits a job that has to be accepted; returns its id. */
export async function submitted(target: Target, data: object = {}, from: From = {}): Promise<string> {
  const answer = await submitTo(target, jobOf(data), from)
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
  return request(`${target.url}/api/jobs${query}`, optionsOf(from))
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
  { withinMs = 20_000, ...from }: From & { withinMs?: number } = {},
): Promise<JobEntry[]> {
  let entries: JobEntry[] = []
  const look = async (): Promise<boolean> => {
    entries = await entriesOf(target, ids, from)
    return entries.length === ids.length && entries.every(({ status }) => status !== 'running')
  }
  const what = (): string => entries.filter(({ status }) => status === 'running').length.toString()
  await eventually(look, { withinMs, everyMs: 100 }).catch((error: unknown) => {
    throw new Error(`of ${ids.length} jobs ${what()} still run, ${entries.length} are known`, { cause: error })
  })
  return entries
}

/** What the container `echo` of a simulated node makes of its input. */
export function echoed(data: object, container = 'echo'): object {
  return { container, output: { container, echo: data } }
}

/** Fails unless the job succeeded with the echo of its own input. */
export function assertEchoed(entry: JobEntry | undefined, data: object): void {
  assert.equal(entry?.status, 'success', JSON.stringify(entry))
  assert.deepEqual(entry.result, echoed(data))
}

/** How many jobs a node was given, by any call. */
export async function acceptedBy(node: { jobs(): Promise<{ id: string }[]> }): Promise<number> {
  return (await node.jobs()).length
}
