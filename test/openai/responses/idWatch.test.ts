import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ResponseIdWatch } from '../../../src/openai/responses/idWatch.ts'

/** The ids that are told of an answer that arrives in pieces of so many bytes. */
function idsIn(text: string, type: string | undefined, pieceBytes: number): string[] {
  const ids: string[] = []
  const watch = new ResponseIdWatch(type, (id) => ids.push(id))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) watch.see(bytes.subarray(at, at + pieceBytes))
  return ids
}

function assertIds(text: string, type: string | undefined, wanted: string[]): void {
  for (const pieceBytes of [1, 2, 7, 1000])
    assert.deepEqual(idsIn(text, type, pieceBytes), wanted, `${pieceBytes}: ${text}`)
}

describe('the id of a response', () => {
  test('is the one at the top of an answer in JSON, wherever it stands', () => {
    for (const type of ['application/json', 'application/json; charset=utf-8', undefined]) {
      assertIds('{"id":"resp_1","object":"response","output":[{"id":"msg_1"}]}', type, ['resp_1'])
      assertIds(' { "output" : [ { "id" : "msg_1" }, ["id"] ], "error": null, "id" : "resp_1" } ', type, ['resp_1'])
      assertIds('{"a":{"id":"no"},"b":"\\"id\\":\\"no\\"","c":"id","id":"resp_1"}', type, ['resp_1'])
    }
  })

  test('is the one within the response of an event', () => {
    const created = '{"type":"response.created","id":"no","response":{"tools":[{"id":"no"}],"id":"resp_1"},"x":{}}'
    assertIds(`event: response.created\ndata: ${created}\n\n`, 'text/event-stream', ['resp_1'])
    assertIds(`: ping\r\n\r\ndata:{"id":"x"}\r\n\r\ndata:${created}\r\n\r\n`, 'Text/Event-Stream; charset=utf-8', [
      'resp_1',
    ])
    assertIds('dat: {"response":{"id":"no"}}\nxdata: {"response":{"id":"no"}}\n', 'text/event-stream', [])
  })

  test('is not told where there is none, or it is longer than ids are', () => {
    for (const text of [
      '',
      '[]',
      '{"id":1}',
      '{"id":null,"a":"id"}',
      '"id"',
      '[{"id":"no"}]',
      'id',
      '{"id":{"id":"no"}}',
    ]) {
      assertIds(text, 'application/json', [])
    }
    assertIds(`{"id":"${'x'.repeat(256)}"}`, undefined, ['x'.repeat(256)])
    assertIds(`{"id":"${'x'.repeat(257)}"}`, undefined, [])
  })
})
