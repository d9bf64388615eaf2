import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { BadLine } from '../../../src/base/badLines.ts'
import type { KeyEntry } from '../../../src/http/keys/keyEntry.ts'
import { readKeysFile } from '../../../src/http/keys/readKeysFile.ts'

const SECRET = 'sk-very-secret-7351'
const read = (...entries: unknown[]): { keys: readonly KeyEntry[]; bad: readonly BadLine[] } => {
  const { keys, skipped } = readKeysFile(JSON.stringify(entries, undefined, 1))
  assert.ok(keys)
  return { keys, bad: skipped.kept }
}

describe('a keys file', () => {
  test('names a caller by a key or by its SHA-256, in either case', () => {
    const digest = hash('sha256', 'second', 'hex')
    const { keys, bad } = read(
      { name: 'a.b_c-1', key: 'first' },
      { name: 'other', key_sha256: digest },
      { name: 'upper', key_sha256: hash('sha256', 'third', 'hex').toUpperCase() },
    )
    assert.deepEqual(bad, [])
    assert.deepEqual(
      keys.map(({ name, digest }) => [name, digest.toString('hex')]),
      [
        ['a.b_c-1', hash('sha256', 'first', 'hex')],
        ['other', digest],
        ['upper', hash('sha256', 'third', 'hex')],
      ],
    )
  })

  test('has rules for a name, which all of its keys follow, and null stands for none', () => {
    const { keys, bad } = read(
      { name: 'a', key: 'new' },
      { name: 'a', key: 'old', requests_per_min: 0, max_jobs: 5, tokens_per_min: null },
      { name: 'b', key: 'x', tokens_per_min: 9, weight: 0.5, priority: 'low' },
    )
    assert.deepEqual(bad, [])
    for (const { rules } of keys.slice(0, 2)) {
      assert.equal(rules.requestsPerMinute, 0)
      assert.equal(rules.maxJobs, 5)
      assert.equal(rules.tokensPerMinute, undefined)
    }
    const { tokensPerMinute, weight, priority } = keys[2]!.rules
    assert.deepEqual([tokensPerMinute, weight, priority], [9, 0.5, 'low'])
  })

  test('takes a rule from the first entry of a name that states it, and reports another in a later one, whose key is valid', () => {
    const { keys, bad } = read({ name: 'a', key: 'one', max_jobs: 5 }, { name: 'a', key: 'two', max_jobs: 6 })
    assert.deepEqual(
      keys.map(({ rules }) => rules.maxJobs),
      [5, 5],
    )
    assert.deepEqual(bad, [
      { line: 7, entry: 'a', reason: 'max_jobs is 6 here and 5 in an earlier entry of this name, which counts' },
    ])
  })

  test('takes a date alone for its beginning in UTC, and any zone in a time', () => {
    const { keys } = read(
      { name: 'a', key: '1', expires: '2027-01-31' },
      { name: 'a', key: '2', expires: '2027-01-31T02:00+02:00' },
      { name: 'a', key: '3' },
    )
    const start = Date.UTC(2027, 0, 31)
    assert.deepEqual(
      keys.map(({ expiresAt }) => expiresAt),
      [start, start, Infinity],
    )
  })

  const wrong: [string, unknown, RegExp][] = [
    ['no object', SECRET, /not an object/],
    ['a list', [SECRET], /not an object/],
    ['no name', { key: SECRET }, /^name must be/],
    ['a name with a blank', { name: 'a b', key: SECRET }, /^name must be/],
    ['a name that is too long', { name: 'a'.repeat(65), key: SECRET }, /^name must be/],
    ['neither key nor digest', { name: 'a' }, /either key or key_sha256/],
    ['both', { name: 'a', key: SECRET, key_sha256: '0'.repeat(64) }, /either key or key_sha256/],
    ['a digest of another length', { name: 'a', key_sha256: '0'.repeat(63) }, /64 hexadecimal digits/],
    ['a key in place of its digest', { name: 'a', key_sha256: SECRET }, /64 hexadecimal digits/],
    ['a key that no header carries', { name: 'a', key: `${SECRET} ` }, /visible ASCII/],
    ['an empty key', { name: 'a', key: '' }, /visible ASCII/],
    ['a variable', { name: 'a', key: '${TEAM_KEY}' }, /variables are not read/],
    ['an unknown member', { name: 'a', key: SECRET, max_job: 1 }, /unknown member; allowed: name, key,/],
    ['a key in place of a member', { name: 'a', [SECRET]: 'key' }, /unknown member; allowed: name, key,/],
    ['a limit in quotes', { name: 'a', key: SECRET, requests_per_min: '5' }, /requests_per_min must be a whole/],
    ['a negative limit', { name: 'a', key: SECRET, max_jobs: -1 }, /max_jobs must be a whole/],
    ['half a token', { name: 'a', key: SECRET, tokens_per_min: 0.5 }, /tokens_per_min must be a whole/],
    ['no weight', { name: 'a', key: SECRET, weight: 0 }, /weight must be/],
    ['another priority', { name: 'a', key: SECRET, priority: 'urgent' }, /priority must be one of "high"/],
    ['a day that does not exist', { name: 'a', key: SECRET, expires: '2027-02-30' }, /expires must be a date/],
    ['a time without its zone', { name: 'a', key: SECRET, expires: '2027-01-31T18:00:00' }, /expires must be a date/],
    ['a number for a date', { name: 'a', key: SECRET, expires: 1_800_000_000 }, /expires must be a date/],
  ]
  for (const [what, entry, reason] of wrong) {
    test(`skips an entry with ${what}, and repeats no key`, () => {
      const { keys, bad } = read({ name: 'good', key: 'good' }, entry)
      assert.deepEqual(
        keys.map(({ name }) => name),
        ['good'],
      )
      assert.equal(bad.length, 1)
      assert.equal(bad[0]!.line, 6)
      assert.match(bad[0]!.reason, reason)
      assert.ok(!JSON.stringify(bad).includes(SECRET))
    })
  }

  test('skips a key that an earlier entry has, whatever its name', () => {
    const { keys, bad } = read({ name: 'a', key: 'one' }, { name: 'b', key_sha256: hash('sha256', 'one', 'hex') })
    assert.deepEqual(
      keys.map(({ name }) => name),
      ['a'],
    )
    assert.deepEqual(bad, [{ line: 6, entry: 'b', reason: 'the key is that of entry 1 already' }])
  })

  test('is nothing unless it is a JSON array; an empty one has no keys', () => {
    for (const text of ['', '{}', '[', `[{"name":"a","key":"${SECRET}"},]`, 'null', '"x"'])
      assert.equal(readKeysFile(text).keys, undefined, text)
    for (const text of ['[]', '\uFEFF[]']) {
      const { keys, skipped } = readKeysFile(text)
      assert.deepEqual([keys, skipped.total], [[], 0])
    }
    const { skipped } = readKeysFile(`[{"name":"a"\n"key":"${SECRET}"}]`)
    assert.deepEqual(skipped.kept, [{ line: 2, entry: null, reason: 'not JSON from column 1 on' }])
  })
})
