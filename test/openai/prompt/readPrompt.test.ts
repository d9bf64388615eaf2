import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PrefixChain, type Prompt } from '../../../src/dispatch/index.ts'
import { dialectOf, type Dialect } from '../../../src/openai/dialect.ts'
import { promptSteps } from '../../../src/openai/prompt/index.ts'
import { promptOf, pythonJson, reversedJson, stateOf } from './support.ts'

const CHAT = '/chat/completions'
const user = { role: 'user', content: 'What is it?' }
const system = { role: 'system', content: 'Be brief.' }
const assistant = { role: 'assistant', content: 'A test.' }

const chatOf = (...messages: object[]) => promptOf(CHAT, { model: 'model', messages })
const state = (prompt: Prompt) => prompt.chain.state

function same(a: Prompt, b: Prompt): void {
  assert.deepEqual(stateOf(a.chain), stateOf(b.chain))
}

function differ(...prompts: Prompt[]): void {
  assert.equal(new Set(prompts.map(state)).size, prompts.length)
}

describe('the text of a prompt', () => {
  test('is read on the paths that generate from text, whatever their case and query', () => {
    const dialects: Record<string, Dialect> = {
      ...{ [CHAT]: 'chat', '/Chat/Completions?x=/y': 'chat', '/completions': 'completions' },
      ...{ '/responses': 'responses', '/responses?x': 'responses', '/messages': 'messages' },
    }
    for (const [path, dialect] of Object.entries(dialects)) assert.equal(dialectOf(path), dialect, path)
    const others = ['/embeddings', '/messages/count_tokens', '/responses/1', '/rerank', '/constructor', '']
    for (const path of others) assert.equal(dialectOf(path), undefined, path)
  })

  test('begins with the model, the salt of the cache and the tools, and goes on message by message', () => {
    const body = { messages: [system, user], cache_salt: 'salt', tools: [{ name: 'tool' }] }
    const expected = new PrefixChain()
    expected.add('model\u0008"salt"\u0007[{"name":"tool"}]')
    for (const { role, content } of [system, user]) expected.add(`\u0001${role}\u0002${content}`)
    assert.deepEqual(stateOf(promptOf(CHAT, body).chain), stateOf(expected))
    differ(
      ...[{}, { cache_salt: 'x' }, { cache_salt: 'y' }, { tools: [1] }, { tools: [2] }].map((more) =>
        promptOf(CHAT, { messages: [user], ...more }),
      ),
    )
  })

  test('is the same however a client writes it', () => {
    const body = { messages: [system, { ...user, content: 'Größe 😀 "x"\n/' }, assistant] }
    for (const write of [pythonJson, reversedJson]) same(promptOf(CHAT, write(body)), promptOf(CHAT, body))
    same(
      promptOf(CHAT, '{"messages":[{"role":"user","content":"\\u0061\\/b"}]}'),
      chatOf({ role: 'user', content: 'a/b' }),
    )
  })

  test('is the same for a text as for parts with that text', () => {
    same(
      chatOf({ role: 'user', content: 'a b' }),
      chatOf({
        role: 'user',
        content: [
          { type: 'text', text: 'a ' },
          { type: 'text', text: 'b' },
        ],
      }),
    )
    same(
      promptOf('/responses', { input: 'Hi' }),
      promptOf('/responses', { input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }] }),
    )
    same(
      promptOf('/messages', { system: 'S', messages: [user] }),
      promptOf('/messages', { messages: [user], system: [{ type: 'text', text: 'S' }] }),
    )
  })

  test('of a later turn goes on where that of an earlier one ended', () => {
    const first = chatOf(system, user)
    const later = chatOf(system, user, assistant, { role: 'user', content: 'Why? '.repeat(1000) })
    const text = first.chain.fork()
    text.add('\u0001assistant\u0002A test.\u0001user\u0002')
    text.add('Why? '.repeat(1000))
    assert.deepEqual(stateOf(later.chain), stateOf(text))
  })

  test('differs with roles, contents, calls, results, and where one message ends', () => {
    const calls = (name: string, args: string) => ({
      role: 'assistant',
      tool_calls: [{ function: { name, arguments: args } }],
    })
    differ(
      chatOf(),
      chatOf(user),
      chatOf(system),
      chatOf({ ...user, role: 'system' }),
      chatOf(user, user),
      chatOf({ role: 'user', content: 'What is it?What is it?' }),
      chatOf(calls('f', '{}')),
      chatOf(calls('g', '{}')),
      chatOf(calls('f', '{"a":1}')),
      chatOf(calls('f', '{"a":" 1"}')),
      chatOf(calls('f', '{"a":"1"}')),
      chatOf({ role: 'tool', content: 'x' }),
      promptOf('/messages', { messages: [{ role: 'user', content: [{ type: 'tool_result', content: 'x' }] }] }),
      promptOf('/messages', {
        messages: [{ role: 'user', content: [{ type: 'tool_result', content: [{ type: 'text', text: 'y' }] }] }],
      }),
      promptOf('/messages', { messages: [{ role: 'user', content: 'x' }] }),
      promptOf('/responses', { input: [{ type: 'function_call_output', call_id: 'c', output: 'z' }] }),
      promptOf('/responses', { input: [{ type: 'custom_tool_call', name: 'f', input: 'free {} text' }] }),
      promptOf('/responses', { input: [{ type: 'function_call', name: 'h', arguments: 'no JSON' }] }),
    )
  })

  test('leaves out thinking, ids, marks for caches and what agents add for billing', () => {
    const said = [
      { type: 'text', text: 'A' },
      { type: 'tool_use', id: 'a', name: 'f', input: { x: 'ä' } },
    ]
    const again = [
      { type: 'thinking', thinking: 'Hm.', signature: 's' },
      { type: 'text', text: 'A', cache_control: { type: 'ephemeral' } },
      { type: 'tool_use', id: 'b', name: 'f', input: { x: 'ä' }, cache_control: { type: 'ephemeral' } },
    ]
    const messages = (content: object[], billing: string) => ({
      system: [
        { type: 'text', text: `x-anthropic-billing-header: cch=${billing};` },
        { type: 'text', text: 'S' },
      ],
      messages: [user, { role: 'assistant', content }],
    })
    same(promptOf('/messages', messages(said, '1')), promptOf('/messages', pythonJson(messages(again, '2'))))
  })

  test('counts an image or a file by its address, or by a sample of its data', () => {
    const image = (url: string, more = {}) =>
      chatOf({
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url }, ...more },
          { type: 'text', text: 'What?' },
        ],
      })
    const data = Buffer.alloc(3_000_000, 'an image ').toString('base64')
    const changed = `${data.slice(0, 100)}X${data.slice(101)}`
    differ(
      image('https://a/1.png'),
      image('https://a/2.png'),
      image(`data:${data}`),
      image(`data:${changed}`),
      image(`data:${data}AA`),
    )
    same(image(`data:${data}`), image(`data:${data}`, { cache_control: { type: 'ephemeral' } }))
    assert.ok(image(`data:${data}`).chain.length < 300)
  })

  test('of a completion is its prompt: a text, several, or tokens', () => {
    const of = (prompt: unknown) => promptOf('/completions', { prompt })
    differ(of('ab'), of(['a', 'b']), of(['ab', '']), of([1, 2]), of([1, 3]), of([[1, 2]]), of(7), of([]))
    same(of('ab'), of(['ab']))
  })
})

describe('what a prompt tells besides', () => {
  test('its history ends with the last assistant message, or the last call of a tool', () => {
    assert.equal(chatOf(system, user).historyCharacters, 0)
    const until = chatOf(system, user, assistant)
    assert.equal(until.historyCharacters, until.chain.length)
    assert.equal(chatOf(system, user, assistant, user).historyCharacters, until.chain.length)
    const call = { type: 'function_call', name: 'f', arguments: '{}' }
    const called = promptOf('/responses', { input: [user, call] })
    assert.equal(
      promptOf('/responses', { input: [user, call, { type: 'function_call_output', output: 'x' }] }).historyCharacters,
      called.chain.length,
    )
  })

  test('its conversation is the same in each turn, and another with another first message', () => {
    const turns = [[user], [user, assistant, user], [user, assistant, user, assistant, system]]
    assert.equal(new Set(turns.map((turn) => chatOf(system, ...turn).conversation)).size, 1)
    assert.equal(chatOf(system, user).conversation, state(chatOf(system, user)))
    assert.notEqual(chatOf(system, { ...user, content: 'Else' }).conversation, chatOf(system, user).conversation)
    assert.notEqual(chatOf(user).conversation, chatOf(system, user).conversation)
  })

  test('a session that the client names is the conversation', () => {
    const [a, b, c] = ['s', 's', 't'].map((session, i) =>
      promptOf(CHAT, { messages: i === 0 ? [user] : [system] }, session),
    )
    assert.deepEqual([a?.isNamedSession, chatOf(user).isNamedSession], [true, false])
    assert.equal(a?.conversation, b?.conversation)
    assert.notEqual(b?.conversation, c?.conversation)
    assert.equal(a && state(a), state(chatOf(user)))
  })

  test('whether it is streamed', () => {
    const streams = [{ stream: true }, { stream: false }, { stream: 'true' }, {}]
    assert.deepEqual(
      streams.map((more) => promptOf(CHAT, { messages: [], ...more }).isStreamed),
      [true, false, false, false],
    )
  })
})

test('what is odd never fails a request', () => {
  const values = [
    'null',
    '7',
    'true',
    '"x"',
    '[]',
    '{}',
    '[null,7,"x",[],{}]',
    '[{"role":7}]',
    '[{"role":"user","content":{"a":[1]}}]',
    '[{"role":"user","content":[[1],null,{"type":7,"text":7},{"type":"tool_result","content":[{"type":"tool_result","content":[{"type":"tool_result"}]}]}]}]',
    '[{"content":"x"}]',
    '[{"role":"assistant","tool_calls":[null,7,{},{"function":7},{"function":{"name":7,"arguments":[1,"\\u00e9"]}}]}]',
    '[{"role":"assistant","tool_calls":{},"function_call":7}]',
    '[{"name":"f","input":[{"a":"b"}]}]',
    '[{"output":7}]',
    `${'['.repeat(5000)}${']'.repeat(5000)}`,
    `[{"role":"user","content":${'[{"type":"tool_result","content":'.repeat(2000)}1${'}]'.repeat(2000)}}]`,
    '-Infinity',
    '"\\ud800"',
    '[{"\\u0072ole":"user","ro\\"le":1}]',
  ]
  for (const value of values) {
    for (const path of [CHAT, '/completions', '/responses', '/messages']) {
      const body = `{"messages":${value},"input":${value},"instructions":${value},"system":${value},"prompt":${value},"tools":${value},"cache_salt":${value},"stream":${value}}`
      const { chain, historyCharacters } = promptOf(path, body)
      assert.ok(chain.length >= historyCharacters, body.slice(0, 100))
    }
  }
})

test('of names only the beginning is read', () => {
  const long = 'x'.repeat(100_000)
  const call = { function: { name: long, arguments: '' } }
  assert.ok(chatOf({ role: long, content: 'a', tool_calls: [call] }).chain.length < 2000)
  assert.ok(chatOf({ role: 'user', [long]: 1, content: 'a' }).chain.length < 2000)
})

describe('a large body', () => {
  const bodies: Record<string, string> = {
    'with one long text': `{"messages":[{"role":"user","content":"${'a long text\\n'.repeat(400_000)}"}]}`,
    'with an image before its role is known': `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:${'QUJD'.repeat(1_000_000)}"}}],"role":"user"}]}`,
    'with many messages': `{"messages":[${'{},'.repeat(300_000)}{}]}`,
    'with many parts': `{"messages":[{"role":"user","content":[${'{},'.repeat(300_000)}{}]}]}`,
    'with many members': `{"messages":[{"role":"user",${'"a":1,'.repeat(300_000)}"b":1}]}`,
    'with many lists of calls': `{"messages":[{"role":"assistant","content":"x"${',"tool_calls":[]'.repeat(100_000)}}]}`,
    'with many functions': `{"messages":[{"role":"assistant","content":"x","tool_calls":[{${'"function":{},'.repeat(100_000)}"id":"1"}]}]}`,
    'with long arguments': `{"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"${'[\\"x\\"], '.repeat(200_000)}","name":"f"}}]}]}`,
    'of tokens': `{"prompt":[${'12345,'.repeat(300_000)}1]}`,
    'with large tools': `{"tools":[${'{"name":"tool"},'.repeat(100_000)}1]}`,
  }

  for (const [name, body] of Object.entries(bodies)) {
    test(`${name} is read in short steps, and no more of it than engines take`, () => {
      const bytes = Buffer.from(body)
      const start = bytes.indexOf(':') + 1
      const member = { name: body.slice(2, start - 2), start, end: bytes.length - 1, kind: 'array' } as const
      const dialect = member.name === 'prompt' ? 'completions' : 'chat'
      const steps = promptSteps({ dialect, bytes, members: [member], model: 'm', session: undefined })
      let count = 1
      let step = steps.next()
      for (; step.done !== true; step = steps.next()) count++
      assert.ok(bytes.length / count <= 256 * 1024, `${count} steps`)
      assert.ok(step.value.chain.length < 4.5 * 1024 * 1024)
    })
  }
})

test('white space changes nothing, but a stretch that no client writes ends what is read', () => {
  const spaced = (count: number) => {
    const space = ' '.repeat(count)
    return promptOf(CHAT, `{"messages":[${space}{"role"${space}:${space}"user"${space},"content":"What is it?"}]}`)
  }
  same(spaced(60_000), chatOf(user))
  same(spaced(70_000), chatOf())
})

test('members of unknown parts count only up to a bound', () => {
  const part = (count: number) => `{"messages":[{"role":"user","content":[{${'"y":1,'.repeat(count)}"z":1}]}]}`
  same(promptOf(CHAT, part(150_000)), promptOf(CHAT, part(200_000)))
})

test('a body that is read in steps has the same prompt as one that is read at once', () => {
  const messages = Array.from({ length: 300 }, (_, i) => ({
    role: i % 2 ? 'assistant' : 'user',
    content: `${i} Größe 漢字 "x"\n`.repeat(300),
    tool_calls:
      i % 2 ? [{ function: { name: 'f', arguments: JSON.stringify({ text: 'ü\n"'.repeat(500) }) } }] : undefined,
  }))
  const whole = chatOf(...messages)
  const parts = new PrefixChain()
  parts.add('model')
  for (const { role, content, tool_calls } of messages) {
    parts.add(`\u0001${role}\u0002${content}`)
    if (tool_calls) parts.add(`\u0003f\u0004{"text":"${'ü\n"'.repeat(500)}"}`)
  }
  assert.deepEqual(stateOf(whole.chain), stateOf(parts))
})
