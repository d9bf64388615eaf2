import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStateUrl, StateUrlError } from '../../src/base/stateUrl.ts'

test('a STATE_URL names memory or a file, as a path or as a URL with an empty host', () => {
  assert.deepEqual(parseStateUrl('memory:'), { kind: 'memory' })
  assert.deepEqual(parseStateUrl('sqlite:data/gateway.db'), { kind: 'sqlite', file: 'data/gateway.db' })
  assert.deepEqual(parseStateUrl('sqlite:///data/gateway.db'), { kind: 'sqlite', file: '/data/gateway.db' })
  assert.deepEqual(parseStateUrl('SQLite:/data/gateway.db'), { kind: 'sqlite', file: '/data/gateway.db' })
})

test('a STATE_URL of Redis names a server, a user, a database and a prefix', () => {
  const plain = { kind: 'redis', host: 'db', port: 6379, isTls: false, database: 0, prefix: 'igw' }
  assert.deepEqual(parseStateUrl('redis://db'), plain)
  assert.deepEqual(parseStateUrl('REDIS://db:7000/3?prefix=two.b'), {
    ...plain,
    ...{ port: 7000, database: 3, prefix: 'two.b' },
  })
  assert.deepEqual(parseStateUrl('redis://db:80/'), { ...plain, port: 80 })
  assert.deepEqual(parseStateUrl('redis://:80@db'), { ...plain, password: '80' })
  const secured = { ...plain, isTls: true, host: '::1', username: 'me', password: 'p@s:s/w%' }
  assert.deepEqual(parseStateUrl('rediss://me:p@s%3As%2Fw%25@[::1]'), secured)
})

test('a STATE_URL of Redis that is not understood is refused with what is wrong, without its secrets', () => {
  const form = 'it is written redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]'
  const list = 'takes one host: lists of a cluster or of Sentinels are not supported'
  for (const [url, why] of [
    ['redis:db', 'needs a host'],
    ['redis://', 'needs a host'],
    ['redis://:hush@', 'is not a valid URL (special characters of a password are to be written as %XX)'],
    ['redis://:hu/sh@db', 'is not a valid URL (special characters of a password are to be written as %XX)'],
    ['redis://:hush@a,b', list],
    ['redis://:hush@a:1,b:2/0', list],
    ['redis://:hush%@db', 'has a user or password with a % that is not followed by two hexadecimal digits'],
    ['redis://:hush@db/x', 'takes the number of a database as its path'],
    ['redis://:hush@db/1/2', 'takes the number of a database as its path'],
    ['redis://:hush@db?wait=1', 'takes no query but ?prefix=NAME'],
    ['redis://:hush@db?prefix=a&prefix=b', 'takes no query but ?prefix=NAME'],
    ['redis://:hush@db?prefix={hush}', 'takes a prefix of 1 to 64 letters, digits, and any of _ . : -'],
    ['redis://:hush@db#x', 'takes no #'],
  ] as const) {
    assert.throws(() => parseStateUrl(url), { name: 'StateUrlError', message: `redis: ${why}; ${form}` }, url)
  }
})

test('a STATE_URL of anything else is refused without its secrets', () => {
  for (const url of ['', 'data/gateway.db', 'memory:x', 'sqlite:', 'sqlite://host/x.db', 'rediss://u:hush@a,b']) {
    assert.throws(
      () => parseStateUrl(url),
      (error) => error instanceof StateUrlError && !error.message.includes('hush'),
      url,
    )
  }
})
