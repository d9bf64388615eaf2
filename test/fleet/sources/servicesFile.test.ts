import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { NodeSpec } from '../../../src/fleet/address.ts'
import { ServicesFile } from '../../../src/fleet/sources/servicesFile.ts'
import { tempDir } from '../../kit/wait.ts'
import { BadLines } from '../../../src/base/badLines.ts'
import { keepLines } from './logLines.ts'

const VARIABLES: Readonly<Record<string, string>> = { MY_KEY: 'sk-from-the-environment', BLANKS: 'a key' }

interface Reading {
  specs: readonly NodeSpec[]
  /** Why entries were skipped, in their order. */
  reasons: string[]
  /** Everything that was logged. */
  log: string
}

/** What the gateway makes of a services file with these entries. */
async function reading(t: TestContext, entries: readonly unknown[]): Promise<Reading> {
  const path = join(await tempDir(t), 'services.json')
  await writeFile(path, JSON.stringify(entries))
  const { logger, lines } = keepLines()
  const file = new ServicesFile(path, logger, { readVariable: (name) => VARIABLES[name] })
  t.after(() => file.stop())
  let specs: readonly NodeSpec[] = []
  await file.start((list) => (specs = list))
  const reasons = lines.filter(({ message }) => message.startsWith('bad entry')).map(({ fields }) => fields['reason'])
  return { specs, reasons: reasons as string[], log: JSON.stringify(lines) }
}

const entry = (more: object): object => ({ name: 'a', url: 'http://10.0.0.1:8000', ...more })

describe('an entry of the services file', () => {
  test('has all members of the contract', async (t) => {
    const { specs, reasons, log } = await reading(t, [
      {
        name: 'all',
        url: 'https://llm.example/openai/v1/?api-version=2026-01-01&region=eu',
        models: ['*'],
        aliases: { 'gpt-4': 'org/model' },
        weight: 2,
        concurrency: 8,
        api_key: 'sk-1',
        api_key_header: 'Api-Key',
        prefix: '/v2/',
      },
    ])
    assert.deepEqual(reasons, [])
    assert.ok(!log.includes('unknown members'))
    assert.deepEqual(specs, [
      {
        kind: 'openai',
        key: 'openai:all@https://llm.example:443/openai',
        name: 'all',
        origin: 'https://llm.example',
        basePath: '/openai',
        query: 'api-version=2026-01-01&region=eu',
        models: ['*'],
        aliases: { 'gpt-4': 'org/model' },
        weight: 2,
        concurrency: 8,
        apiKey: 'sk-1',
        apiKeyHeader: 'api-key',
        prefix: '/v2',
      },
    ])
  })

  test('may have an empty prefix, which is not the same as none', async (t) => {
    const { specs } = await reading(t, [entry({ prefix: '' }), entry({ name: 'b', prefix: null })])
    assert.deepEqual(
      specs.map(({ prefix }) => prefix),
      ['', undefined],
    )
  })

  test('reads its key from the environment where it is "${NAME}"', async (t) => {
    const { specs, log } = await reading(t, [entry({ api_key: '${MY_KEY}' })])
    assert.equal(specs[0]?.apiKey, 'sk-from-the-environment')
    assert.ok(!log.includes('sk-from-the-environment'))
  })

  test('is skipped where its variable is missing or holds no key, and the log names the variable alone', async (t) => {
    const { specs, reasons, log } = await reading(t, [
      entry({ api_key: '${NOT_THERE}' }),
      entry({ api_key: '${BLANKS}' }),
      entry({ api_key: 'sk-${MY_KEY}' }),
      entry({ api_key: '${__proto__}' }),
    ])
    assert.deepEqual(specs, [])
    assert.match(reasons[0] ?? '', /NOT_THERE, which is not set/)
    assert.match(reasons[1] ?? '', /BLANKS must hold visible ASCII/)
    assert.match(reasons[2] ?? '', /"\$\{NAME\}" alone/)
    assert.equal(reasons.length, 4)
    assert.ok(!log.includes('a key') && !log.includes('sk-'))
  })

  for (const [what, more, why] of [
    ['a header that is no name', { api_key_header: 'x key' }, /api_key_header/],
    ['a header of the connection', { api_key_header: 'Transfer-Encoding' }, /api_key_header/],
    ['the host', { api_key_header: 'Host' }, /api_key_header/],
    ['the length of the body', { api_key_header: 'Content-Length' }, /api_key_header/],
    ['a list of aliases', { aliases: ['gpt-4'] }, /aliases/],
    ['an alias for nothing', { aliases: { 'gpt-4': '' } }, /aliases/],
    ['an alias for a number', { aliases: { 'gpt-4': 4 } }, /aliases/],
    ['a prefix that is no path', { prefix: 'v1' }, /prefix/],
    ['a prefix with a query', { prefix: '/v1?x' }, /prefix/],
    ['a prefix that leads elsewhere', { prefix: '/v1/..' }, /prefix/],
    ['a fragment', { url: 'http://10.0.0.1#x' }, /fragment/],
    ['a blank in the query', { url: 'http://10.0.0.1?a=b c' }, /query/],
  ] as const) {
    test(`is skipped for ${what}`, async (t) => {
      const { specs, reasons } = await reading(t, [entry(more)])
      assert.deepEqual(specs, [])
      assert.match(reasons[0] ?? '', why)
    })
  }
})

describe('what is skipped of the services file', () => {
  /** What is told of a file with this text. */
  async function skippedOf(t: TestContext, text: string): Promise<BadLines> {
    const path = join(await tempDir(t), 'services.json')
    await writeFile(path, text)
    const badLines = new BadLines()
    const file = new ServicesFile(path, keepLines().logger, { badLines })
    t.after(() => file.stop())
    await file.start(() => {})
    return badLines
  }

  test('is told with the line on which the entry begins, and its name where it has one', async (t) => {
    const text = [
      '\uFEFF[',
      '  { "name": "good", "url": "http://10.0.0.1" }, { "name": "a, [b] \\" {", "url": 7 },',
      '',
      '  {',
      '    "url": "http://10.0.0.2", "api_key": "hush"',
      '  }, [], "x", null, 4',
      ']',
    ].join('\n')
    const { list, total, counts } = await skippedOf(t, text)
    assert.deepEqual(
      list.map(({ line, entry }) => [line, entry]),
      [
        [2, 'a, [b] " {'],
        [4, 'entry 3'],
        [6, 'entry 4'],
        [6, 'entry 5'],
        [6, 'entry 6'],
        [6, 'entry 7'],
      ],
    )
    assert.ok(list.every(({ setting }) => setting === 'SERVICES_FILE'))
    assert.match(list[0]!.reason, /url/)
    assert.deepEqual([total, counts], [6, [['SERVICES_FILE', 6]]])
    assert.doesNotMatch(JSON.stringify(list), /hush/)
  })

  test('is the whole file where it is no JSON list, with the line where that is known', async (t) => {
    for (const [text, line, reason] of [
      ['{"name": "hush"}', null, /^expected a JSON array/],
      [`[{"name": "one"},\n{"name": "two" "url": "hush"}${' '.repeat(50)}]`, 2, /^not JSON from column 16 on$/],
      ['[{"name": "hush"', 1, /^not JSON/],
    ] as const) {
      const { list } = await skippedOf(t, text)
      assert.deepEqual([list.length, list[0]!.line, list[0]!.entry], [1, line, null], JSON.stringify(list))
      assert.match(list[0]!.reason, reason)
      assert.doesNotMatch(list[0]!.reason, /hush/)
    }
  })

  test('is told of the first hundred, and counted beyond', async (t) => {
    const { list, total } = await skippedOf(t, JSON.stringify(Array.from({ length: 3000 }, () => ({}))))
    assert.deepEqual([list.length, total], [100, 3000])
  })
})
