import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ANSWER_LIMITS, JsonLimitError, JsonSyntaxError, NODE_LIMITS, scanObject } from '../../src/json/index.ts'
import { kindOf, scanArray, scanValue } from './scan.ts'

const textOf = (bytes: Buffer, { start, end }: { start: number; end: number }) => bytes.toString('utf8', start, end)

function refuses(source: string | Buffer, offset: number, message: RegExp): void {
  const bytes = Buffer.from(source)
  assert.throws(
    () => scanValue(bytes),
    (error) => {
      assert.ok(error instanceof JsonSyntaxError, String(error))
      assert.match(error.message, message)
      assert.match(error.message, new RegExp(`at byte ${error.offset}$`))
      assert.equal(error.offset, offset, error.message)
      return true
    },
  )
}

suite('what is told', () => {
  test('the members of an object are told in order, each with the span of its value alone', () => {
    const bytes = Buffer.from(' { "a" : [1, {"b":2}] ,\n"b": "x" , "c":{}, "d" :\ttrue, "e": null, "f": -0.5e+3 } ')
    const members = scanObject(bytes).map((member) => [member.name, member.kind, textOf(bytes, member)])
    assert.deepEqual(members, [
      ['a', 'array', '[1, {"b":2}]'],
      ['b', 'string', '"x"'],
      ['c', 'object', '{}'],
      ['d', 'boolean', 'true'],
      ['e', 'null', 'null'],
      ['f', 'number', '-0.5e+3'],
    ])
  })

  test('a name is told unescaped, however it is spelt', () => {
    const bytes = Buffer.from(String.raw`{"\u0069d":1,"\u00e9":2,"é":3,"\ud83d\ude00":4,"":5,"\"\\\/\b\f\n\r\t":6}`)
    assert.deepEqual(
      scanObject(bytes).map(({ name }) => name),
      ['id', 'é', 'é', '😀', '', '"\\/\b\f\n\r\t'],
    )
  })

  test('all duplicates of a member are told', () => {
    const bytes = Buffer.from('{"id":1,"i\\u0064":2,"id":3}')
    assert.deepEqual(
      scanObject(bytes).map((member) => [member.name, textOf(bytes, member)]),
      [
        ['id', '1'],
        ['id', '2'],
        ['id', '3'],
      ],
    )
  })

  test('the elements of an array are told in order', () => {
    const bytes = Buffer.from('[[],{} , "a,]" ,[[1],[2]],115792089237316195423570985008687907853269984665640564039457]')
    assert.deepEqual(
      scanArray(bytes).map((element) => textOf(bytes, element)),
      ['[]', '{}', '"a,]"', '[[1],[2]]', '115792089237316195423570985008687907853269984665640564039457'],
    )
  })

  test('a value is told in one pass, whatever its kind', () => {
    const objects = scanValue(Buffer.from(' {"a":1} '))
    assert.ok(objects.kind === 'object')
    assert.deepEqual(objects.members, [{ name: 'a', start: 6, end: 7, kind: 'number' }])
    assert.deepEqual([objects.start, objects.end], [1, 8])
    const arrays = scanValue(Buffer.from('[1]'))
    assert.ok(arrays.kind === 'array')
    assert.deepEqual(arrays.elements, [{ start: 1, end: 2, kind: 'number' }])
    assert.deepEqual(scanValue(Buffer.from(' "a" ')), { kind: 'string', start: 1, end: 4 })
    assert.deepEqual(scanValue(Buffer.from('[]')), { kind: 'array', start: 0, end: 2, elements: [] })
    assert.deepEqual(scanValue(Buffer.from('{ }')), { kind: 'object', start: 0, end: 3, members: [] })
  })

  test('a part of a buffer is read as if it were alone, and spans count from the buffer’s start', () => {
    const bytes = Buffer.from('12[1,"a"]34')
    assert.deepEqual(scanArray(bytes, 2, 9), [
      { start: 3, end: 4, kind: 'number' },
      { start: 5, end: 8, kind: 'string' },
    ])
    assert.deepEqual(scanValue(bytes, 3, 4), { kind: 'number', start: 3, end: 4 })
    for (const end of [3, 4, 5, 6, 7, 8]) assert.throws(() => scanArray(bytes, 2, end), JsonSyntaxError)
  })

  test('numbers that Python writes and JSON does not know are numbers', () => {
    for (const text of ['NaN', 'Infinity', '-Infinity']) {
      assert.equal(kindOf(Buffer.from(text)), 'number')
      assert.equal(scanObject(Buffer.from(`{"a":[${text}, ${text}],"b":${text}}`))[1]?.kind, 'number')
    }
  })

  test('an object asked for and an array found, or the other way round, is named', () => {
    assert.throws(() => scanObject(Buffer.from(' [1]')), /Expected an object, found an array at byte 1/)
    assert.throws(() => scanArray(Buffer.from('null')), /Expected an array, found null at byte 0/)
    assert.throws(() => scanArray(Buffer.from('"a"')), /Expected an array, found a string at byte 0/)
  })
})

suite('what is refused', () => {
  test('anything outside the grammar, with the byte at which it goes wrong', () => {
    refuses('', 0, /Expected a value, found the end/)
    refuses('  ', 2, /Expected a value, found the end/)
    refuses('{"a":1}x', 7, /Expected nothing after the value, found 'x'/)
    refuses('1 2', 2, /Expected nothing after the value, found '2'/)
    refuses('[1,]', 3, /Expected a value, found '\]'/)
    refuses('[,1]', 1, /Expected a value, found ','/)
    refuses('[1 2]', 3, /Expected ',' or '\]' in an array, found '2'/)
    refuses('[1}', 2, /Expected ',' or '\]' in an array, found '}'/)
    refuses('[[1]', 4, /Expected ',' or '\]' in an array, found the end/)
    refuses('{"a":1,}', 7, /Expected a member's name, found '}'/)
    refuses('{a:1}', 1, /Expected a member's name, found 'a'/)
    refuses('{1:1}', 1, /Expected a member's name/)
    refuses('{', 1, /Expected a member's name, found the end/)
    refuses('{"a" 1}', 5, /Expected ':' behind a member's name, found '1'/)
    refuses('{"a"', 4, /Expected ':' behind a member's name, found the end/)
    refuses('{"a":}', 5, /Expected a value, found '}'/)
    refuses('{"a":1 "b":2}', 7, /Expected ',' or '}' in an object, found '"'/)
    refuses(']', 0, /Expected a value, found '\]'/)
    refuses('\v1', 0, /Expected a value, found the byte 0x0b/)
    refuses("'a'", 0, /Expected a value, found '''/)
    refuses('/* */1', 0, /Expected a value, found '\/'/)
  })

  test('words that are nearly right', () => {
    refuses('tru', 3, /Expected true, found the end/)
    refuses('[nul]', 4, /Expected null, found '\]'/)
    refuses('truex', 4, /Expected nothing after the value, found 'x'/)
    refuses('True', 0, /Expected a value, found 'T'/)
    refuses('nan', 1, /Expected null, found 'a'/)
    refuses('-NaN', 1, /Expected a digit, found 'N'/)
    refuses('-Inf', 4, /Expected Infinity, found the end/)
    refuses('+Infinity', 0, /Expected a value, found '\+'/)
  })

  test('numbers that are nearly right', () => {
    refuses('01', 0, /A number begins with a needless 0/)
    refuses('-01', 1, /A number begins with a needless 0/)
    refuses('-', 1, /Expected a digit, found the end/)
    refuses('1.', 2, /Expected a digit, found the end/)
    refuses('[1.]', 3, /Expected a digit, found '\]'/)
    refuses('.5', 0, /Expected a value, found '\.'/)
    refuses('1e', 2, /Expected a digit, found the end/)
    refuses('1e+', 3, /Expected a digit, found the end/)
    refuses('1.5e-x', 5, /Expected a digit, found 'x'/)
    refuses('+1', 0, /Expected a value, found '\+'/)
    refuses('0x10', 1, /Expected nothing after the value, found 'x'/)
    refuses('1_000', 1, /Expected nothing after the value/)
  })

  test('strings that are not closed, hold control characters, or escape what cannot be escaped', () => {
    refuses('"abc', 4, /A string is not closed/)
    refuses('"abc\\"', 6, /A string is not closed/)
    refuses('"a\nb"', 2, /the byte 0x0a must be escaped in a string/)
    refuses('"\u0000"', 1, /the byte 0x00 must be escaped in a string/)
    refuses('{"a\tb":1}', 3, /the byte 0x09 must be escaped in a string/)
    refuses('"\\x"', 2, /A backslash is followed by 'x'/)
    refuses('"\\', 2, /A backslash is followed by the end/)
    refuses('"\\u12g4"', 5, /\\u needs four hexadecimal digits, not 'g'/)
    refuses('"\\u12', 5, /\\u needs four hexadecimal digits, not the end/)
  })

  test('a control character, a quote or a backslash is found at any place of a long string', () => {
    for (let place = 0; place < 300; place++) {
      for (let shift = 0; shift < 4; shift++) {
        const head = ' '.repeat(shift) + '"' + 'é~'.repeat(200).slice(0, place)
        const at = Buffer.byteLength(head)
        refuses(`${head}\u001f${'y'.repeat(200)}"`, at, /the byte 0x1f must be escaped/)
        refuses(`${head}\\q${'y'.repeat(200)}"`, at + 1, /A backslash is followed by 'q'/)
        refuses(`${head}"${'y'.repeat(200)}"`, at + 1, /Expected nothing after the value, found 'y'/)
        refuses(head, at, /A string is not closed/)
      }
    }
  })

  test('bytes that are not UTF-8, even in a string, at the byte where they begin', () => {
    const around = (...bytes: number[]) => Buffer.concat([Buffer.from('"é'), Buffer.from(bytes), Buffer.from('z"')])
    refuses(around(0x80), 3, /Invalid UTF-8/)
    refuses(around(0xc3), 3, /Invalid UTF-8/)
    refuses(around(0xc0, 0xaf), 3, /Invalid UTF-8/) // an overlong slash
    refuses(around(0xed, 0xa0, 0x80), 3, /Invalid UTF-8/) // a surrogate
    refuses(around(0xf4, 0x90, 0x80, 0x80), 3, /Invalid UTF-8/) // beyond U+10FFFF
    refuses(around(0xf0, 0x9f, 0x98), 3, /Invalid UTF-8/)
    refuses(Buffer.concat([Buffer.from(`"${'é'.repeat(5000)}`), Buffer.from([0xff])]), 10001, /Invalid UTF-8/)
  })

  test('a byte order mark', () => {
    refuses(Buffer.from('\ufeff{}'), 0, /A byte order mark is not allowed/)
    refuses(Buffer.from('{}', 'utf16le'), 1, /Expected a member's name, found the byte 0x00/)
  })

  test('an integer of more than 4,300 digits, which Python cannot read; a longer fraction it can', () => {
    for (const sign of ['', '-']) {
      assert.equal(kindOf(Buffer.from(sign + '9'.repeat(4300))), 'number')
      assert.throws(() => kindOf(Buffer.from(`[${sign}${'9'.repeat(4301)}]`)), isLimit('integerDigits', 1))
      assert.equal(kindOf(Buffer.from(`${sign}${'9'.repeat(4301)}.5`)), 'number')
      assert.equal(kindOf(Buffer.from(`${sign}${'9'.repeat(4301)}e1`)), 'number')
      assert.equal(kindOf(Buffer.from(sign + '9'.repeat(4301)), undefined, undefined, ANSWER_LIMITS), 'number')
    }
  })

  test('more than 500 levels, whatever they are made of', () => {
    const nested = (open: string, close: string, depth: number) => Buffer.from(open.repeat(depth) + close.repeat(depth))
    assert.equal(kindOf(nested('[', ']', 500)), 'array')
    assert.throws(() => kindOf(nested('[', ']', 501)), isLimit('depth', 500))
    assert.equal(kindOf(Buffer.from('{"a":'.repeat(500) + '1' + '}'.repeat(500))), 'object')
    assert.throws(() => kindOf(Buffer.from('{"a":'.repeat(501) + '1' + '}'.repeat(501))), isLimit('depth', 2500))
    assert.equal(kindOf(nested('[', ']', 100_000), undefined, undefined, ANSWER_LIMITS), 'array')
    assert.throws(() => kindOf(Buffer.alloc(5_000_000, '[')), isLimit('depth', 500))
  })

  test('more direct members or elements than the limit, while those deeper down are not counted', () => {
    const limits = { ...NODE_LIMITS, children: 2 }
    assert.equal(scanArray(Buffer.from('[1,[1,2,3]]'), undefined, undefined, limits).length, 2)
    assert.throws(() => scanArray(Buffer.from('[1,2,3]'), undefined, undefined, limits), isLimit('children', 5))
    assert.throws(() => scanObject(Buffer.from('{"a":1,"b":2,"c":3}'), 0, 19, limits), isLimit('children', 17))
  })
})

const isLimit = (limit: string, offset: number) => (error: unknown) =>
  error instanceof JsonLimitError && error.limit === limit && error.offset === offset
