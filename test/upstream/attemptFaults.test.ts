import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors } from 'undici'
import { faultOfTransport } from '../../src/upstream/attemptFaults.ts'

test('a request that was badly made here is held against no node', () => {
  const fault = faultOfTransport(new errors.InvalidArgumentError('invalid x-request-id header'), false, false)
  assert.equal(fault.code, 'ERR_INTERNAL')
  assert.notEqual(fault.fault.source, 'upstream')
})
