/** What the tests of MEMORY_BUDGET share: a small budget, what of it is in use, and uploads that stall. */
import assert from 'node:assert/strict'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, request } from '../../kit/http.ts'
import type { Answer, RawConnection } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

export const MB = 1024 * 1024

/** One caller may hold 2 MB of these. */
export const SMALL_BUDGET = { MEMORY_BUDGET: '8mb', MAX_BODY: '2mb' }

/** Addresses of callers besides the usual one. */
export const OTHER = '127.0.0.2'

interface MemoryStats {
  budget_bytes: number
  used_bytes: number
  own_bytes: number
  refused: { caller: number; budget: number; own: number }
}

export async function memoryStats(gateway: Gateway): Promise<MemoryStats> {
  return (await request(`${gateway.url}/stats`)).json<{ memory: MemoryStats }>().memory
}

/** A value of `/metrics`. */
export async function metric(gateway: Gateway, series: string): Promise<number> {
  const { text } = await request(`${gateway.url}/metrics`)
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  assert.ok(line, `${series} is not in /metrics`)
  return Number(line.slice(series.length + 1))
}

export function callersHold(gateway: Gateway): Promise<number> {
  return metric(gateway, 'infernet_gateway_memory_bytes{account="callers"}')
}

/** Waits until callers hold so many bytes. */
export function holdsExactly(gateway: Gateway, bytes: number): Promise<boolean> {
  const look = async (): Promise<boolean> => (await callersHold(gateway)) === bytes
  return eventually(look, { what: `${bytes} bytes in use` })
}

/** Waits until everything has been given back. */
export async function allIsGivenBack(gateway: Gateway): Promise<void> {
  await holdsExactly(gateway, 0)
  const look = async (): Promise<boolean> => (await memoryStats(gateway)).own_bytes === 0
  await eventually(look, { what: 'own calls that hold nothing' })
}

/** An upload that has sent no more than its head and `sent`. */
export async function stalledUpload(
  gateway: Gateway,
  t: Cleanup,
  { path = '/api/jobs', headers = [] as string[], sent = '', localAddress = '127.0.0.1' },
): Promise<RawConnection> {
  const connection = await openRaw(gateway.url, { localAddress, t })
  const head = [`POST ${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', ...headers]
  connection.send(`${head.join('\r\n')}\r\n\r\n${sent}`)
  return connection
}

export function announced(bytes: number): string {
  return `Content-Length: ${bytes}`
}

/** Fails unless the answer is the 503 of the budget. */
export function assertNoRoom(answer: Answer): string {
  assert.ok(Number(answer.headers['retry-after']) >= 1, 'no Retry-After')
  return assertError(answer, 503)
}
