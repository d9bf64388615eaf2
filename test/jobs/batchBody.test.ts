import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchBody } from '../../src/jobs/batchBody.ts'

const SIZES = [
  [],
  [1],
  [10, 20],
  [70_000],
  [1, 70_000],
  [70_000, 1],
  [65_535, 1, 65_536, 3],
  Array<number>(5000).fill(40),
]

for (const sizes of SIZES) {
  const what = sizes.length > 9 ? `${sizes.length} items` : `items of ${sizes.join(', ') || 'nothing'}`
  test(`the body of a batch of ${what} is a list of them, as long as it says`, async () => {
    const items = sizes.map((size, i) => Buffer.alloc(size, 'abcdefgh'[i % 8]))
    const { body, length } = batchBody(items)
    const pieces: Buffer[] = Buffer.isBuffer(body) ? [body] : ((await body.toArray()) as Buffer[])
    const text = Buffer.concat(pieces).toString()
    assert.ok(text === `[${items.join()}]`)
    assert.equal(length, text.length)
  })
}
