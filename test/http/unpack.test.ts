import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codingsOf } from '../../src/http/unpack.ts'

test('Content-Encoding names at most two of the known codings, in any case, with identity or without', () => {
  for (const [header, codings] of [
    [undefined, []],
    ['', []],
    ['identity', []],
    ['GZip', ['gzip']],
    ['x-gzip', ['gzip']],
    [' gzip , identity,br', ['gzip', 'br']],
    ['gzip,br,zstd', undefined],
    ['compress', undefined],
    ['toString', undefined],
    [','.repeat(50_000), []],
  ] as const) {
    assert.deepEqual(codingsOf(header), codings, header?.slice(0, 50))
  }
})
