import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIdentity } from '../../src/base/identity.ts'
import { hasPassed } from '../../src/http/via.ts'

test('each gateway has a name of its own, as RFC 9110 writes it', () => {
  const { via } = createIdentity()
  assert.match(via, /^1\.1 [\w-]+$/)
  assert.notEqual(createIdentity().via, via)
})

test('a request that passed through this gateway is recognised, wherever it went besides', () => {
  const { via } = createIdentity()
  for (const header of [via, `1.0 fred, ${via}`, `${via},1.1 other`, `1.1 a,\t${via} , 1.1 b`]) {
    assert.equal(hasPassed(header, via), true, header)
  }
})

test('a request that came through other gateways alone is not', () => {
  const { via } = createIdentity()
  for (const header of [undefined, '', '1.1 proxy', createIdentity().via, `${via}0`, `x${via}`]) {
    assert.equal(hasPassed(header, via), false, header)
  }
})
