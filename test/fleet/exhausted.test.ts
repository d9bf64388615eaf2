import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isExhausted } from '../../src/fleet/exhausted.ts'

function failed(code: string, address = '10.0.0.1', cause?: Error): Error {
  return Object.assign(new Error(code, { cause }), { code, address })
}

test('descriptors and ports that run out are a lack of this machine', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'EADDRNOTAVAIL']) assert.equal(isExhausted(failed(code)), true)
})

test('that is so also where a library tells of it in its own error, or for one address of several', () => {
  const own = failed('EMFILE')
  const wrapped = Object.assign(new Error('failed', { cause: own }), { code: 'ERR_NETWORK' })
  for (const error of [wrapped, new AggregateError([failed('ECONNREFUSED'), own])]) {
    assert.equal(isExhausted(error), true)
  }
})

test('what the other side does is no lack of this machine, nor is an IPv6 address where there is no IPv6', () => {
  const others = ['ECONNREFUSED', 'ETIMEDOUT', 'ENETUNREACH', 'ECONNRESET'].map((code) => failed(code))
  for (const error of [...others, failed('EADDRNOTAVAIL', '::1'), new Error('any'), undefined, null]) {
    assert.equal(isExhausted(error), false)
  }
})
