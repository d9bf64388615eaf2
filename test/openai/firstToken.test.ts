import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FirstToken } from '../../src/openai/firstToken.ts'

/** The number of the piece that brings the first token; -1 where none does. */
function firstOf(pieces: readonly string[], contentType = 'text/event-stream', status = 200): number {
  const firstToken = new FirstToken()
  firstToken.begin(status, contentType)
  return pieces.findIndex((piece) => firstToken.see(Buffer.from(piece)))
}

const CHUNK = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'

test('the first event of a stream brings its first token, and only that', () => {
  assert.equal(firstOf([CHUNK, CHUNK]), 0)
  const firstToken = new FirstToken()
  firstToken.begin(200, 'Text/Event-Stream; charset=utf-8')
  assert.deepEqual(
    [CHUNK, CHUNK].map((piece) => firstToken.see(Buffer.from(piece))),
    [true, false],
  )
  assert.ok(firstToken.at > 0 && firstToken.at <= performance.now())
})

test('comments that keep a connection open are no tokens, also where one shares its piece with a token', () => {
  assert.equal(firstOf([': keep-alive\n\n', ':\n\n', CHUNK]), 2)
  assert.equal(firstOf([`: keep-alive\r\n\r\n${CHUNK}`]), 0)
  assert.equal(firstOf([': keep', '-alive\n\n']), -1)
})

test('events that services send before they have generated anything are no tokens, however they are cut', () => {
  const created = 'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'
  const progress = 'event: response.in_progress\ndata: {"type":"response.in_progress"}\n\n'
  const delta = 'event: response.output_text.delta\ndata: {"delta":"x"}\n\n'
  assert.equal(firstOf([created + progress, delta]), 1)
  assert.equal(firstOf([created + progress + delta]), 0)
  assert.equal(firstOf([created.slice(0, 24), created.slice(24, 40), created.slice(40), delta]), 3)
  assert.equal(firstOf([...(created + delta.slice(0, 40))]), -1, 'a name in pieces')
  assert.equal(firstOf(['event: ping\ndata: {}\n\n', delta]), 1)
})

test('an answer that is no stream of events has no first token', () => {
  assert.equal(firstOf(['data: {}\n\n'], 'application/json'), -1)
})

test('an error in place of an answer is no token, nor is anything after it', () => {
  const done = 'data: [DONE]\n\n'
  for (const error of [
    'event: error\ndata: {"message":"out of memory"}\n\n',
    'event: response.failed\ndata: {"response":{}}\n\n',
    'data: {"error":{"message":"out of memory"}}\n\n',
    'data:{ "error" : "out of memory" }\r\n\r\n',
    'data: {"object":"error","message":"out of memory"}\n\n',
    'data: {"type": "error", "error": {}}\n\n',
  ]) {
    assert.equal(firstOf([error, done, CHUNK]), -1, error)
    assert.equal(firstOf([...error, done]), -1, `${error} in pieces`)
  }
  assert.equal(firstOf([done]), -1, 'nothing was generated')
  assert.equal(firstOf([`data: {"error":null,"choices":[{"delta":{"content":"x"}}]}\n\n`]), 0)
})

test('a stream of events with a status that serves nothing has no first token', () => {
  for (const status of [300, 400, 429, 500]) assert.equal(firstOf([CHUNK], 'text/event-stream', status), -1)
})
