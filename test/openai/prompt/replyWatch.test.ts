import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBudget } from '../../../src/base/memory/budget.ts'
import type { PrefixChain, Prompt } from '../../../src/dispatch/index.ts'
import { dialectOf } from '../../../src/openai/dialect.ts'
import { ReplyWatch } from '../../../src/openai/prompt/index.ts'
import { promptOf, pythonJson, reversedJson, stateOf, type Path } from './support.ts'

const EVENTS = 'text/event-stream; charset=utf-8'
const JSON_TYPE = 'application/json'

function events(...all: object[]): string {
  return all.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
}

function watchOf(prompt: Prompt, path: Path, memory = new MemoryBudget(1e9).open('caller')): ReplyWatch {
  return new ReplyWatch(prompt, dialectOf(path)!, memory)
}

/** The chain after a reply that comes in pieces of this size. */
function chainAfter(prompt: Prompt, path: Path, reply: string, size = Infinity): PrefixChain | undefined {
  const watch = watchOf(prompt, path)
  watch.begin(reply.startsWith('{') ? JSON_TYPE : EVENTS)
  const bytes = Buffer.from(reply)
  for (let at = 0; at < bytes.length; at += size) watch.see(bytes.subarray(at, at + size))
  return watch.chain()
}

interface Turn {
  readonly path: Path
  readonly request: object
  /** The same reply in the ways in which a service may give it. */
  readonly replies: readonly string[]
  /** What the next request has before its new message, in the ways in which clients may write it. */
  readonly next: readonly object[]
}

const TEXT = 'Größe 漢字 😀 "quoted"\nand more. '
const ARGS = '{"path": "/tmp/ä", "lines": [1, 2], "text": "a \\"b\\"\\n\\u00e9"}'
const ARGS_OBJECT = JSON.parse(ARGS) as object
const CALL = { id: 'call_1', type: 'function', function: { name: 'read', arguments: ARGS } }
const CALL_2 = { id: 'call_2', type: 'function', function: { name: 'list', arguments: '' } }

/** Cut so that characters and escapes of the arguments fall apart. */
const pieces = (text: string, size: number): string[] => text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
const choice = (delta: object) => ({ id: 'x', choices: [{ index: 0, delta, finish_reason: null }] })

const user = { role: 'user', content: 'Hello?' }
const chat = { model: 'm', messages: [{ role: 'system', content: 'Be brief.' }, user] }
const said = (message: object) => ({ ...chat, messages: [...chat.messages, message] })

const TURNS: Record<string, Turn> = {
  'a chat': {
    path: '/chat/completions',
    request: chat,
    replies: [
      events(
        choice({ role: 'assistant', content: '' }),
        ...pieces(TEXT, 3).map((content) => choice({ content })),
        { choices: [{ index: 1, delta: { content: 'another choice' } }] },
        { choices: [], usage: { prompt_tokens: 1 } },
      ) + 'data: [DONE]\n\n',
      JSON.stringify({ id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: TEXT } }] }),
      JSON.stringify({ choices: [{ message: { content: TEXT, role: 'assistant', tool_calls: null }, index: 0 }] }),
    ],
    next: [
      said({ role: 'assistant', content: TEXT }),
      said({ content: TEXT, role: 'assistant', refusal: null, tool_calls: [] }),
      said({ role: 'assistant', content: [{ type: 'text', text: TEXT }] }),
      said({ content: [{ text: TEXT, type: 'text' }], role: 'assistant', reasoning_content: 'Hm.' }),
    ],
  },
  'a chat with tool calls': {
    path: '/chat/completions',
    request: { ...chat, tools: [{ type: 'function', function: { name: 'read', parameters: {} } }] },
    replies: [
      events(
        choice({ role: 'assistant', content: null, reasoning_content: 'Hm.' }),
        choice({ content: 'Let me ' }),
        choice({ content: 'see.' }),
        choice({
          tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'read', arguments: '' } }],
        }),
        ...pieces(ARGS, 2).map((args) => choice({ tool_calls: [{ index: 0, function: { arguments: args } }] })),
        choice({ tool_calls: [{ index: 1, id: 'call_2', function: { name: 'list' } }] }),
        { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
      ),
      JSON.stringify({
        choices: [{ index: 0, message: { role: 'assistant', content: 'Let me see.', tool_calls: [CALL, CALL_2] } }],
      }),
    ],
    next: [
      { role: 'assistant', content: 'Let me see.', tool_calls: [CALL, CALL_2] },
      { tool_calls: [CALL, CALL_2], content: 'Let me see.', role: 'assistant' },
      {
        role: 'assistant',
        content: [{ type: 'text', text: 'Let me see.' }],
        // As clients write them that keep arguments as an object.
        tool_calls: [
          { ...CALL, function: { arguments: JSON.stringify(ARGS_OBJECT), name: 'read' } },
          { id: 'other', function: { name: 'list', arguments: '{}' } },
        ],
      },
    ].map((message) => ({
      ...said(message),
      tools: [{ type: 'function', function: { name: 'read', parameters: {} } }],
    })),
  },
  'a text that is completed': {
    path: '/completions',
    request: { model: 'm', prompt: `Once upon ${TEXT}` },
    replies: [
      events(...pieces(`a time ${TEXT}`, 5).map((text) => ({ choices: [{ text, index: 0 }] }))),
      JSON.stringify({ choices: [{ index: 0, text: `a time ${TEXT}` }] }),
    ],
    next: [{ model: 'm', prompt: `Once upon ${TEXT}a time ${TEXT}` }],
  },
  'a response': {
    path: '/responses',
    request: { model: 'm', instructions: 'Be brief.', input: 'Hello?' },
    replies: [
      events(
        { type: 'response.created', response: { id: 'r', instructions: 'Be brief.', output: [] } },
        { type: 'response.output_item.added', item: { type: 'message', role: 'assistant', content: [] } },
        { type: 'response.output_text.delta', delta: 'Gr' },
        { item: { type: 'reasoning', summary: [] }, output_index: 0, type: 'response.output_item.done' },
        {
          item: { id: 'i', type: 'message', role: 'assistant', content: [{ type: 'output_text', text: TEXT }] },
          output_index: 1,
          type: 'response.output_item.done',
        },
        {
          type: 'response.output_item.done',
          item: { id: 'c', type: 'function_call', call_id: 'call', name: 'read', arguments: ARGS, status: 'completed' },
        },
        { type: 'response.completed', response: { output: [{ type: 'message', role: 'assistant', content: 'no' }] } },
      ),
      JSON.stringify({
        id: 'r',
        output: [
          { type: 'reasoning', summary: [] },
          { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: TEXT, annotations: [] }] },
          { type: 'function_call', call_id: 'call', name: 'read', arguments: ARGS },
        ],
      }),
    ],
    next: [
      [
        { role: 'assistant', content: TEXT },
        { type: 'function_call', call_id: 'call', name: 'read', arguments: ARGS },
      ],
      [
        { type: 'reasoning', encrypted_content: 'x' },
        { type: 'message', content: [{ type: 'output_text', text: TEXT }], role: 'assistant' },
        { arguments: JSON.stringify(ARGS_OBJECT), call_id: 'call', name: 'read', type: 'function_call' },
      ],
    ].map((items) => ({ model: 'm', instructions: 'Be brief.', input: [user, ...items] })),
  },
  "a message in Anthropic's dialect": {
    path: '/messages',
    request: { model: 'm', system: 'Be brief.', messages: [user] },
    replies: [
      [
        { type: 'message_start', message: { role: 'assistant', content: [], usage: { input_tokens: 1 } } },
        { type: 'ping' },
        { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } },
        { type: 'content_block_stop', index: 0 },
        { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
        ...pieces(TEXT, 4).map((text) => ({
          type: 'content_block_delta',
          index: 1,
          delta: { type: 'text_delta', text },
        })),
        { type: 'content_block_stop', index: 1 },
        {
          type: 'content_block_start',
          index: 2,
          content_block: { type: 'tool_use', id: 't', name: 'read', input: {} },
        },
        ...pieces(ARGS, 3).map((partial_json) => ({
          type: 'content_block_delta',
          index: 2,
          delta: { type: 'input_json_delta', partial_json },
        })),
        {
          type: 'content_block_start',
          index: 3,
          content_block: { type: 'tool_use', id: 'u', name: 'list', input: {} },
        },
        { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
        { type: 'message_stop' },
      ]
        .map((event) => `event: ${event.type}\r\ndata: ${JSON.stringify(event)}\r\n\r\n`)
        .join(''),
      JSON.stringify({
        id: 'm',
        type: 'message',
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.' },
          { type: 'text', text: TEXT },
          { type: 'tool_use', id: 't', name: 'read', input: ARGS_OBJECT },
          { type: 'tool_use', id: 'u', name: 'list', input: {} },
        ],
      }),
    ],
    next: [
      [
        { type: 'thinking', thinking: 'Hm.', signature: 's' },
        { type: 'text', text: TEXT },
        { type: 'tool_use', id: 't', name: 'read', input: ARGS_OBJECT },
        { input: {}, name: 'list', id: 'u', type: 'tool_use', cache_control: { type: 'ephemeral' } },
      ],
    ].map((content) => ({
      model: 'm',
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [user, { role: 'assistant', content }],
    })),
  },
}

for (const [name, { path, request, replies, next }] of Object.entries(TURNS)) {
  describe(name, () => {
    const prompt = promptOf(path, request)
    const expected = stateOf(promptOf(path, next[0]!).chain)

    test('goes on in the next request exactly where the reply ended, however clients write that', () => {
      for (const write of [JSON.stringify, pythonJson, reversedJson]) {
        const asWritten = chainAfter(promptOf(path, write(request)), path, replies[0]!)!
        for (const body of next) {
          assert.deepEqual(stateOf(promptOf(path, write(body)).chain), stateOf(asWritten), write(body))
        }
      }
    })

    test('is followed in pieces of any size', () => {
      for (const reply of replies) {
        for (const size of [1, 2, 3, 7, 64, 100, 1000, Infinity]) {
          const chain = chainAfter(prompt, path, reply, size)
          assert.deepEqual(chain && stateOf(chain), expected, `${reply.slice(0, 60)} in pieces of ${size}`)
        }
      }
    })

    test('leaves the chain of its prompt as it was', () => {
      assert.deepEqual(stateOf(prompt.chain), stateOf(promptOf(path, request).chain))
    })
  })
}

const CHAT = '/chat/completions'

test('where calls are told by turns, or content after a call, the reply is not followed', () => {
  const prompt = promptOf(CHAT, chat)
  const call = (index: number) => choice({ tool_calls: [{ index, function: { name: 'f', arguments: '{' } }] })
  assert.equal(chainAfter(prompt, CHAT, events(call(0), call(1), call(0))), undefined)
  assert.equal(chainAfter(prompt, CHAT, events(call(0), choice({ content: 'x' }))), undefined)
  assert.ok(chainAfter(prompt, CHAT, events(call(0), choice({ content: '' }))))
})

test('answers that are no JSON, are cut, or are too long are not followed, and nothing fails', () => {
  const prompt = promptOf(CHAT, chat)
  const long = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(70_000) } }] })
  for (const reply of [
    long,
    `data: ${long}\n\n`,
    'data: {"choices":[{"delta":{"content":"\n\n',
    '{}',
    '{"choices":[]}',
  ]) {
    assert.equal(chainAfter(prompt, CHAT, reply, 10_000), undefined, reply.slice(0, 50))
  }
  const oddities = [
    'data: {"choices":1}',
    'data: {]',
    'data: {"choices":[{]}',
    'data: {"choices":[3]}',
    ': note',
    'data',
    'x',
    '',
  ]
  for (const odd of [...oddities, '\0\xff'.repeat(5000)]) chainAfter(prompt, CHAT, `${odd}\n\n`)
})

test('a piece that says nothing of the reply changes nothing', () => {
  const prompt = promptOf(CHAT, chat)
  const hello = events(choice({ content: 'Hello' }))
  const expected = stateOf(chainAfter(prompt, CHAT, hello)!)
  const noise = `: keep-alive\n\nretry: 3\nevent: x\nid: 4\ndata: [DONE]\n\ndata:\n\n`
  assert.deepEqual(stateOf(chainAfter(prompt, CHAT, `${noise}${hello}${noise}`)!), expected)
})

test('a try after another is followed by itself', () => {
  const watch = watchOf(promptOf(CHAT, chat), CHAT)
  watch.begin(EVENTS)
  watch.see(Buffer.from(events(choice({ content: 'Hel' }))))
  watch.begin(EVENTS)
  watch.see(Buffer.from(events(choice({ content: 'Hello' }))))
  const chain = watch.chain()
  assert.deepEqual(
    stateOf(chain!),
    stateOf(chainAfter(promptOf(CHAT, chat), CHAT, events(choice({ content: 'Hello' })))!),
  )
})

describe('what is kept of an answer while it arrives', () => {
  const prompt = promptOf(CHAT, chat)
  const whole = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(5000) } }] })
  const event = events(choice({ content: 'x'.repeat(5000) }))
  const halves = (text: string) => [Buffer.from(text.slice(0, 2500)), Buffer.from(text.slice(2500))] as const
  const answers: [type: string, text: string][] = [
    [JSON_TYPE, whole],
    [EVENTS, event],
  ]

  for (const [type, text] of answers) {
    test(`counts as memory and is given back at its end, at another try and when it cannot be followed: ${type}`, () => {
      const memory = new MemoryBudget(1_000_000).open('caller')
      const watch = watchOf(prompt, CHAT, memory)
      const [first, second] = halves(text)
      const read = () => {
        watch.begin(type)
        watch.see(first)
        assert.ok(memory.bytes >= 2500 && memory.bytes < 6000, `${memory.bytes} bytes`)
      }
      read()
      read()
      watch.see(second)
      assert.ok(watch.chain())
      assert.equal(memory.bytes, 0)
      read()
      watch.see(Buffer.from(`${'x'.repeat(70_000)}\n`))
      assert.equal(watch.chain(), undefined)
      assert.equal(memory.bytes, 0)
    })

    test(`is nothing where there is no room, and the answer is not followed: ${type}`, () => {
      const memory = new MemoryBudget(4 * 2000).open('caller')
      const watch = watchOf(prompt, CHAT, memory)
      watch.begin(type)
      for (const half of halves(text)) watch.see(half)
      assert.equal(watch.chain(), undefined)
      assert.equal(memory.bytes, 0)
    })
  }
})
