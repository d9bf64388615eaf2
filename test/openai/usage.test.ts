import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageWatch } from '../../src/openai/usage.ts'
import type { Usage } from '../../src/openai/usage.ts'

/** The usage of an answer that comes in pieces of this size. */
function usageOf(text: string, pieceSize = 1000): Usage | undefined {
  const watch = new UsageWatch()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceSize) watch.see(bytes.subarray(at, at + pieceSize))
  return watch.usage()
}

const LONG = `data: {"delta":"${'x'.repeat(500)}"}\n\n`.repeat(100)
const TOLD = '"usage": {"prompt_tokens": 12, "completion_tokens":34, "total_tokens":46}'

test('usage is found at the end, at the beginning, and across pieces of any size', () => {
  const told = { promptTokens: 12, completionTokens: 34 }
  for (const pieceSize of [1, 7, 1000, 8191, 8192, 8193, 20_000, 1_000_000]) {
    assert.deepEqual(usageOf(`{${TOLD}}`, pieceSize), told)
    assert.deepEqual(usageOf(`${LONG}data: {${TOLD}}\n\ndata: [DONE]\n\n`, pieceSize), told)
    assert.deepEqual(usageOf(`{${TOLD},"data":"${LONG}"}`, pieceSize), told)
  }
})

test('the last word counts, for each kind of tokens', () => {
  const first = 'data: {"usage":{"input_tokens":5,"output_tokens":1}}\n\n'
  assert.deepEqual(usageOf(`${first}${LONG}data: {"usage":{"output_tokens":9}}\n\n`), {
    promptTokens: 5,
    completionTokens: 9,
  })
  assert.deepEqual(usageOf(`${first}data: {"usage":null}\n\n`), { promptTokens: 5, completionTokens: 1 })
  assert.deepEqual(usageOf('{"usage":{"prompt_tokens":3,"total_tokens":3}}'), { promptTokens: 3, completionTokens: 0 })
})

test('cached tokens are told in each dialect together with the prompt, of which they are a part', () => {
  const usages: [string, Usage][] = [
    [
      '"prompt_tokens":90,"completion_tokens":2,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens": 64}',
      { promptTokens: 90, completionTokens: 2, cachedTokens: 64 },
    ],
    [
      '"input_tokens":90,"input_tokens_details":{"cached_tokens":0},"output_tokens":2',
      { promptTokens: 90, completionTokens: 2, cachedTokens: 0 },
    ],
    [
      '"input_tokens":6,"cache_creation_input_tokens":20,"cache_read_input_tokens":64,"output_tokens":2',
      { promptTokens: 90, completionTokens: 2, cachedTokens: 64 },
    ],
    // Anthropic's usage as LiteLLM passes it on: the prompt has all its tokens already.
    [
      '"prompt_tokens":2006,"completion_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":1920',
      { promptTokens: 2006, completionTokens: 2, cachedTokens: 1920 },
    ],
    [
      '"input_tokens":86,"prompt_tokens":2006,"output_tokens":2,"cache_read_input_tokens":1920',
      { promptTokens: 2006, completionTokens: 2, cachedTokens: 1920 },
    ],
    [
      '"input_tokens":90,"input_tokens_details":{"cached_tokens":64},"cache_read_input_tokens":64,"output_tokens":2',
      { promptTokens: 90, completionTokens: 2, cachedTokens: 64 },
    ],
    ['"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null', { promptTokens: 9, completionTokens: 2 }],
    ['"output_tokens":2,"cached_tokens":7', { promptTokens: 0, completionTokens: 2 }],
    ['"prompt_tokens":9,"cached_tokens":10', { promptTokens: 9, completionTokens: 0, cachedTokens: 9 }],
  ]
  for (const [text, usage] of usages) assert.deepEqual(usageOf(`data: {"usage":{${text}}}\n\n`), usage, text)
  const start = `data: {"message":{"usage":{${usages[2]![0]}}}}\n\n`
  assert.deepEqual(usageOf(`${start}${LONG}data: {"usage":{"output_tokens":9}}\n\n`), {
    promptTokens: 90,
    completionTokens: 9,
    cachedTokens: 64,
  })
})

test('where nothing is told nothing is found', () => {
  for (const text of [
    '',
    LONG,
    '{"usage":null}',
    '{"usage":{}}',
    '{"usage":{"prompt_tokens":1e3,"completion_tokens":10.7}}',
    '{"usage":{"prompt_tokens":10000001,"completion_tokens":12345678E1}}',
    `{"usage":{"prompt_tokens":${'9'.repeat(400)},"completion_tokens":${'9'.repeat(16)}}}`,
    '{"text":"\\"usage\\":{\\"prompt_tokens\\":5}"}',
    '\0\xff'.repeat(9000),
  ]) {
    assert.equal(usageOf(text), undefined, text.slice(0, 50))
  }
})
