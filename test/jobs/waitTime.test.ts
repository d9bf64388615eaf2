import assert from 'node:assert/strict'
import type { Request } from 'express'
import { test } from 'node:test'
import { preferredWait } from '../../src/jobs/waitTime.ts'

const secondsOf = (prefer: string): number => preferredWait({ headers: { prefer } } as unknown as Request).seconds

test('a preference to wait is found among others, whatever its case and its quotes', () => {
  const headers = [
    'wait=5',
    'WAIT = "5"',
    'respond-async, wait=5',
    'x="a\\", wait=9", wait=5',
    'wait=5; y=z',
    'wait=5, wait=9',
  ]
  for (const header of headers) assert.equal(secondsOf(header), 5, header)
})

test('more than a minute counts as a minute, however it is written', () => {
  for (const header of ['wait=61', 'wait=99999999999999999999']) assert.equal(secondsOf(header), 60, header)
  assert.equal(secondsOf('wait=000000000000007'), 7)
})

test('what is no whole number of seconds is ignored', () => {
  const headers = [
    'wait',
    'wait=',
    'wait=-1',
    'wait=1.5',
    'wait=soon',
    'waits=5',
    'x="wait=5"',
    'wait=0',
    'wait, wait=5',
  ]
  for (const header of headers) assert.equal(secondsOf(header), 0, header)
})

test('a header that is longer than preferences are is not read', () => {
  assert.equal(secondsOf(`${'x, '.repeat(500)}wait=5`), 0)
})
