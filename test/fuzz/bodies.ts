/** What is done to bodies: bytes and JSON that nobody meant. */
import type { Chance } from './chance.ts'
import { CONTAINER, MODEL } from './seeds.ts'

const VALUES = [
  ...[
    'null',
    'true',
    '0',
    '-0',
    '1e400',
    'NaN',
    '-Infinity',
    '1'.repeat(400),
    '""',
    '[]',
    '{}',
    '"\\ud800"',
    '"\\u0000"',
  ],
  ...[
    '[[[[[[[[[[]]]]]]]]]]',
    '{"a":{"a":{"a":{}}}}',
    `"${'x'.repeat(3000)}"`,
    `["${CONTAINER}","${CONTAINER}"]`,
    '[1,2]',
  ],
  ...[`"${MODEL}"`, `["${'c'.repeat(300)}"]`, '[""]', '"\\u00e9"', '{"a":1,"a":2}', '12345678901234567890123456789'],
]
const NAMES = [
  ...[
    'containers',
    'data',
    'id',
    'ip',
    'type',
    'subscription',
    'signature',
    'requires_proof',
    'model',
    'stream',
    'cost',
  ],
  ...['endpoint', 'api_key', 'messages', '__proto__', 'constructor', 'toString', 'status', 'n', 'user', ''],
]
const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\ufeff',
  '\0',
  '//',
  'NaN',
  '\ud83d\ude00',
  '\r\n',
  '--edge',
  ' ',
]

/** The body's bytes after a few changes; now and then something else altogether. */
export function mutate(body: string, chance: Chance): Buffer {
  if (chance.happens(0.03)) return Buffer.from('['.repeat(1 + chance.below(60_000)))
  if (chance.happens(0.02)) return Buffer.from(`[${`${body},`.repeat(chance.below(300))}${body}]`)
  if (chance.happens(0.02)) return chance.bytes(chance.below(500))
  let bytes: Buffer = Buffer.from(body)
  for (let changes = 1 + chance.below(3); changes > 0; changes--) bytes = changed(bytes, chance)
  return bytes
}

function changed(bytes: Buffer, chance: Chance): Buffer {
  const text = bytes.toString('latin1')
  const at = chance.below(bytes.length + 1)
  switch (chance.below(7)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), chance.bytes(1 + chance.below(4)), bytes.subarray(at + 1)])
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(chance.of(PIECES)), bytes.subarray(at)])
    case 3:
      return withMember(text, `${JSON.stringify(chance.of(NAMES))}:${chance.of(VALUES)}`)
    case 4:
      return withOtherValue(text, chance)
    case 5:
      return Buffer.from(text.replace(/"(\w+)":/, `"${chance.of(NAMES)}":`), 'latin1')
    default:
      return Buffer.concat([bytes, bytes.subarray(at)])
  }
}

function withMember(text: string, member: string): Buffer {
  return Buffer.from(text.replace('{', `{${member},`), 'latin1')
}

/** One value of the text, chosen by chance, replaced by another. */
function withOtherValue(text: string, chance: Chance): Buffer {
  const colons = [...text.matchAll(/:("[^"]*"|[\w.-]+|\[[^\]]*\])/g)]
  if (colons.length === 0) return Buffer.from(text, 'latin1')
  const match = chance.of(colons)
  const start = match.index + 1
  return Buffer.concat([
    Buffer.from(text.slice(0, start), 'latin1'),
    Buffer.from(chance.of(VALUES)),
    Buffer.from(text.slice(match.index + match[0].length), 'latin1'),
  ])
}
