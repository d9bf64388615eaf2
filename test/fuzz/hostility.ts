/** Answers as nobody should give them, as bytes. */
import type { Chance } from './chance.ts'

/** Marks answers that a backend wrote: they pass through as they came, whatever they hold. */
export const BACKEND_HEADER = 'x-backend'

export interface Hostility {
  /** Latin-1, written one after the other. */
  readonly pieces: readonly string[]
  readonly pauseMs: number
  /** What becomes of the connection. */
  readonly then: 'stay' | 'close' | 'reset'
}

const JSON_TYPE = `Content-Type: application/json\r\n${BACKEND_HEADER}: 1`

function whole(status: string, headers: string, body: string): string {
  return `HTTP/1.1 ${status}\r\n${headers}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

export function wellFormed(body: string): string {
  return whole('200 OK', JSON_TYPE, body)
}

const STATUSES = [
  '200 ',
  '201 OK',
  '204 ',
  '302 Found',
  '304 ',
  '400 ',
  '401 ',
  '404 ',
  '405 ',
  '429 ',
  '500 ',
  '503 ',
  '999 ',
  '099 ',
]
const ODD_HEADERS = [
  ...['Retry-After: 0', 'Retry-After: -5', 'Retry-After: 99999999999', 'Retry-After: soon', 'Content-Type: text/html'],
  ...[
    'Set-Cookie: a=b',
    'Transfer-Encoding: identity',
    'Connection: upgrade',
    'Upgrade: h2c',
    'RateLimit-Remaining: -1',
  ],
  ...['Location: http://evil.example/', 'Content-Encoding: gzip', `X-Long: ${'x'.repeat(20_000)}`, 'X-Latin: \xe9\xff'],
  ...[
    'Trailer: x',
    'Access-Control-Allow-Origin: *',
    'Content-Security-Policy: default-src *',
    'RateLimit-Reset: 1e400',
  ],
  ...[
    'Refresh: 0; url=http://evil.example',
    'Link: <x>; rel=preload',
    'Date: never',
    '__proto__: x',
    'X-Infernet-Node: other',
  ],
]
const ODD_BODIES = [
  ...[
    '',
    'null',
    '[]',
    '{}',
    '{"id":1}',
    '{"id":""}',
    '{"id":null}',
    '{"id":"a b"}',
    '{"id":"\\ud800"}',
    '"text"',
    '[{}]',
  ],
  ...[`{"id":"${'i'.repeat(5000)}"}`, '{"id":"a","id":"b"}', '{"id":"a"', '\xff\xfe', '<html>', `${'['.repeat(5000)}`],
  ...['{"error":"Container not supported","params":{}}', '{"error":{"a":1}}', '[{"id":"a","status":"odd"}]', '[1,2,3]'],
  ...['[{"id":"x","status":"success","result":NaN}]', '{"containers":[{"id":1}],"pending":-1}', '{"data":[{"id":{}}]}'],
]

export function hostileBytes(good: string, chance: Chance): Hostility {
  const at = chance.below(good.length + 1)
  const then = chance.of(['close', 'close', 'stay', 'reset'] as const)
  const one = (...pieces: string[]): Hostility => ({ pieces, pauseMs: 1, then })
  switch (chance.below(20)) {
    case 0:
      return one(whole(chance.of(STATUSES), JSON_TYPE, good))
    case 1:
    case 2:
      return one(whole('200 OK', `${JSON_TYPE}\r\n${chance.of(ODD_HEADERS)}`, good))
    case 3:
    case 4:
      return one(whole('200 OK', JSON_TYPE, chance.of(ODD_BODIES)))
    case 5:
      return one(chance.bytes(1 + chance.below(200)).toString('latin1'))
    case 6:
      return one(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nContent-Length: ${good.length + 50}\r\n\r\n${good}`)
    case 7:
      // The rest of it must never be taken for the next answer.
      return one(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nContent-Length: ${at}\r\n\r\n${good}`)
    case 8:
      return one(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n${good}`)
    case 9:
      return one(
        `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      )
    case 10:
      return one(
        `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chance.of(['5\r\nhel', 'zz\r\n', '-1\r\n', '5\r\nhello0\r\n\r\n', 'fffffffffffffffff\r\n'])}`,
      )
    case 11:
      return one('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', good)
    case 12:
      return one('HTTP/1.1 100 Continue\r\n\r\n', whole('200 OK', JSON_TYPE, good))
    case 13:
      return {
        ...one(
          ...Array<string>(20).fill('HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n'),
          whole('200 OK', JSON_TYPE, good),
        ),
        pauseMs: 5,
      }
    case 14:
      return { ...one(...whole('200 OK', JSON_TYPE, good.slice(0, 60)).split('')), pauseMs: 0 }
    case 15:
      return one(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\n\r\n${good}`)
    case 16:
      return one(whole('200 OK', JSON_TYPE, good) + whole('200 OK', JSON_TYPE, '"not asked for"'))
    case 17:
      return one(`HTTP/1.0 200 OK\r\n${JSON_TYPE}\r\n\r\n${good}`)
    case 18:
      return one(`HTTP/1.1 200 OK\r\n${'X-Many: y\r\n'.repeat(8000)}\r\n`)
    default:
      return one()
  }
}
