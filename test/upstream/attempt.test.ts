import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Attempt } from '../../src/upstream/attempt.ts'

const controller = { pause: () => undefined, resume: () => undefined } as unknown as Parameters<
  Attempt['onRequestStart']
>[0]

test('a try whose sink fails at the end of the answer ends all the same, by a fault of ours', async () => {
  const fail = (): Promise<void> => Promise.reject(new Error('sink'))
  for (const end of ['onResponseEnd', 'onResponseError'] as const) {
    const attempt = new Attempt({ begin: () => true, piece: () => undefined, end: fail, broke: fail })
    attempt.onRequestStart(controller)
    attempt.onResponseStart(controller, 200, {})
    attempt[end](controller, new Error('socket'))
    const result = await attempt.result
    assert.equal(result.kind === 'fault' && result.fault.code, 'ERR_INTERNAL')
  }
})
