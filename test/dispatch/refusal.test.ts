import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { isRefusal } from '../../src/dispatch/refusal.ts'
import { trackedService } from '../kit/builders/fleets.ts'

const service = (more: { apiKey?: string } = {}): TrackedNode => trackedService(['m'], more)

const refusalsAmong = (statuses: number[], node: TrackedNode): number[] =>
  statuses.filter((status) => isRefusal(status, node, 'm'))

test('an answer of 408 or 5xx is a refusal; 429 and 503 are pushback, and 400, 413 and 422 speak of the request', () => {
  const statuses = [200, 304, 400, 405, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 529]
  assert.deepEqual(refusalsAmong(statuses, service()), [408, 500, 501, 502, 504, 529])
})

test("401, 402 and 403 are a refusal only under the service's own key: otherwise the client's key is at fault", () => {
  assert.deepEqual(refusalsAmong([401, 402, 403], service()), [])
  assert.deepEqual(refusalsAmong([401, 402, 403], service({ apiKey: 'k' })), [401, 402, 403])
})

test('404 is a refusal only where the service lists the model', () => {
  assert.equal(isRefusal(404, service(), 'm'), true)
  assert.equal(isRefusal(404, service(), 'other'), false)
  assert.equal(isRefusal(404, service()), false)
})
