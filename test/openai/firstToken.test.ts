import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FirstToken } from '../../src/openai/firstToken.ts'

/** The number of the piece that brings the first token; -1 where none does. */
function firstOf(pieces: readonly string[], contentType = 'text/event-stream'): number {
  const firstToken = new FirstToken()
  firstToken.begins(contentType)
  return pieces.findIndex((piece) => firstToken.see(Buffer.from(piece)))
}

const CHUNK = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'

test('the first event of a stream brings its first token, and only that', () => {
  assert.equal(firstOf([CHUNK, CHUNK]), 0)
  const firstToken = new FirstToken()
  firstToken.begins('text/event-stream; charset=utf-8')
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
  assert.equal(firstOf(['event: ping\ndata: {}\n\n', delta]), 1)
})

test('an answer that is no stream of events has no first token', () => {
  assert.equal(firstOf(['data: {}\n\n'], 'application/json'), -1)
})
