import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joinArray, memberOf, scanObject, splice, stringAt } from '../../src/json/index.ts'
import { scanArray, scanValue } from './scan.ts'

test('a string is decoded with all its escapes, lone surrogates included', () => {
  const decoded = (source: string) => stringAt(Buffer.from(source), scanValue(Buffer.from(source)))
  assert.equal(decoded('"plain é 😀"'), 'plain é 😀')
  assert.equal(decoded(String.raw`"\u00e9\ud83d\ude00\n\/\ud800"`), 'é😀\n/\ud800')
  assert.equal(decoded('""'), '')
  const long = 'x'.repeat(1000)
  assert.equal(decoded(`"${long}\\n${long}"`), `${long}\n${long}`)
  assert.equal(decoded(`"${long}"`), long)
})

test('of several members of one name the last is read, as Python does', () => {
  const bytes = Buffer.from('{"a":1,"b":2,"\\u0061":3}')
  const members = scanObject(bytes)
  assert.equal(memberOf(members, 'a')?.start, members[2]?.start)
  assert.equal(memberOf(members, 'c'), undefined)
})

test('a span is replaced and every other byte stays as it came', () => {
  const bytes = Buffer.from('{ "id" : "old" , "n": 115792089237316195423570985008687907853, "f": NaN }')
  const spliced = splice(bytes, memberOf(scanObject(bytes), 'id')!, Buffer.from('"a longer one"'))
  assert.equal(spliced.toString(), '{ "id" : "a longer one" , "n": 115792089237316195423570985008687907853, "f": NaN }')
})

test('values are joined to an array, their bytes as they are', () => {
  const bytes = Buffer.from('[1e400, {"a" : NaN},"é"]')
  const elements = scanArray(bytes).map(({ start, end }) => bytes.subarray(start, end))
  assert.equal(joinArray(elements).toString(), '[1e400,{"a" : NaN},"é"]')
  assert.equal(joinArray(elements.slice(1, 2)).toString(), '[{"a" : NaN}]')
  assert.equal(joinArray([]).toString(), '[]')
})
