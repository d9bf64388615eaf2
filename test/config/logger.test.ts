import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { runNode } from './processes.ts'

const module = new URL('../../src/observability/logger.ts', import.meta.url).href

/** Arguments for Node to run a script with a `logger` of the given kind. */
const script = (format: string, level: string, body: string) => [
  '--input-type=module',
  '-e',
  `import { createLogger } from '${module}'
  const logger = createLogger({ format: '${format}', level: '${level}' })
  ${body}`,
]

/** The lines that the script logged. */
async function logged(format: string, level: string, body: string): Promise<string[]> {
  const { exitCode, stdout, stderr } = await runNode(script(format, level, body))
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' })
  return stdout.split('\n').slice(0, -1)
}

type Parsed = Record<string, unknown>
const parse = (line: string | undefined) => JSON.parse(line ?? 'null') as Parsed

describe('json', () => {
  test('a line is one object: time, level, message, and the fields flat beside them', async () => {
    const [line] = await logged('json', 'info', `logger.warn('node down', { node: 'a:1', tries: 3, none: undefined })`)
    const { time, ...rest } = parse(line)
    assert.deepEqual(rest, { level: 'warn', message: 'node down', node: 'a:1', tries: 3 })
    assert.equal(new Date(String(time)).toISOString(), time)
    assert.match(line ?? '', /^\{"time":"[^"]+","level":"warn","message":"node down",/)
  })

  test('only the level asked for and those above are written', async () => {
    const each = `for (const level of ['debug', 'info', 'warn', 'error']) logger[level](level)`
    const levels = async (level: string) => (await logged('json', level, each)).map((line) => parse(line)['level'])
    assert.deepEqual(await levels('error'), ['error'])
    assert.deepEqual(await levels('info'), ['info', 'warn', 'error'])
    assert.deepEqual(await levels('debug'), ['debug', 'info', 'warn', 'error'])
  })

  test('isDebug tells whether debug lines are written', async () => {
    for (const level of ['debug', 'info']) {
      const [line] = await logged('json', level, `logger.error('', { isDebug: logger.isDebug })`)
      assert.equal(parse(line)['isDebug'], level === 'debug')
    }
  })

  test('fields cannot forge time, level or message', async () => {
    const [line] = await logged(
      'json',
      'info',
      `logger.info('true', { time: 0, level: 'error', message: 'forged', a: 1 })`,
    )
    const { time, ...rest } = parse(line)
    assert.deepEqual(rest, { level: 'info', message: 'true', a: 1 })
    assert.equal(typeof time, 'string')
  })

  const failure = `
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const error = Object.assign(new Error('no poll', { cause }), { code: 'E_POLL', config: { headers: 'secret' } })
    error.toJSON = () => ({ config: error.config })
    logger.error('poll', { error, all: [{ error }] })`

  test('an error is its message, code and cause, without stack and whatever else hangs on it', async () => {
    const [line] = await logged('json', 'info', failure)
    const expected = { message: 'no poll', code: 'E_POLL', cause: { message: 'refused', code: 'ECONNREFUSED' } }
    const { error, all } = parse(line)
    assert.deepEqual({ error, all }, { error: expected, all: [{ error: expected }] })
  })

  test('an error has its stack where the level is debug', async () => {
    const { error } = parse((await logged('json', 'debug', failure))[0])
    assert.match(String((error as Parsed)['stack']), /^Error: no poll\n +at /)
  })

  test('a connection refused on several addresses still says what happened', async () => {
    const body = `logger.error('x', { error: new AggregateError([new Error('connect ECONNREFUSED ::1:1')]) })`
    assert.deepEqual(parse((await logged('json', 'info', body))[0])['error'], { message: 'connect ECONNREFUSED ::1:1' })
  })

  test('logging never throws: big integers become text, loops are left out', async () => {
    const body = `const loop = {}; loop.loop = loop; logger.info('a', { big: 2n ** 70n }); logger.info('b', { loop })`
    const [big, loop] = (await logged('json', 'info', body)).map(parse)
    assert.equal(big?.['big'], '1180591620717411303424')
    assert.equal(loop?.['message'], 'b')
  })
})

describe('whatever is logged', () => {
  const huge = `
    const text = 'x'.repeat(2 ** 20)
    const cause = Object.assign(new Error(text), { code: text })
    const list = Array.from({ length: 40_000 }, (_, i) => 'image ' + i)
    const object = Object.fromEntries(list.map((name) => [name, list]))
    logger.warn(text, { node: text, status: 502 })
    logger.warn('list', { list })
    logger.warn('object', { object, [text]: 1 })
    logger.warn('error', { error: new Error(text, { cause }) })
    logger.warn('fields', Object.fromEntries(list.map((name) => [name, text])))
    logger.warn('bytes', { bytes: Buffer.alloc(2 ** 20) })`

  for (const format of ['json', 'pretty'] as const) {
    test(`a ${format} line stays short, and one line`, async () => {
      const lines = await logged(format, 'debug', huge)
      assert.equal(lines.length, 6)
      for (const line of lines) assert.ok(line.length <= 20_000, `${line.length} characters: ${line.slice(0, 100)}`)
    })
  }

  test('a shortened line is still JSON, with its level and short fields', async () => {
    const lines = (await logged('json', 'info', huge)).map(parse)
    assert.deepEqual(
      lines.map(({ level }) => level),
      Array(6).fill('warn'),
    )
    assert.equal(lines[0]?.['status'], 502)
    assert.match(String(lines[0]?.['node']), /^x{1000}… \(1048576 characters\)$/)
    assert.equal(lines[4]?.['message'], 'fields')
  })
})

describe('pretty', () => {
  test('a line is time of day, level, message and name=value', async () => {
    const [line] = await logged('pretty', 'info', `logger.info('node up', { node: 'a:1', why: 'two words', n: [1] })`)
    assert.match(line ?? '', /^\d\d:\d\d:\d\d\.\d{3} INFO {2}node up node=a:1 why="two words" n=\[1\]$/)
  })

  test("a client's text cannot pretend to be another line", async () => {
    const lines = await logged('pretty', 'info', `logger.info('a\\nb\\x1b[2J', { path: 'c\\nd\\x1b[2J' })`)
    assert.equal(lines.length, 1)
    assert.ok(lines[0]?.endsWith('INFO  a b [2J path="c\\nd\\u001b[2J"'), lines[0])
  })
})

describe('standard output', () => {
  const thousands = `for (let i = 0; i < 20_000; i++) logger.info('line ' + i, { pad: 'x'.repeat(100) })`

  test('after flush() a process that exits at once has lost no line', async () => {
    const lines = await logged('json', 'info', `${thousands}; await logger.flush(); process.exit()`)
    assert.equal(lines.length, 20_000)
    assert.equal(parse(lines.at(-1))['message'], 'line 19999')
  })

  test('a line logged right before the exit is not lost', async () => {
    assert.equal((await logged('json', 'info', `logger.info('last'); process.exit()`)).length, 1)
  })

  test('a logger does not keep the process alive', async () => {
    assert.deepEqual(await logged('json', 'info', ''), [])
  })

  test('a log whose reader has gone is lost, not the process', async () => {
    const body = `
      logger.info('ready')
      process.stdin.once('data', async () => {
        for (let i = 0; i < 3; i++) { logger.info('unread'); await new Promise(setImmediate) }
        await logger.flush()
        process.stderr.write('alive')
        process.exit(7)
      })`
    const child = spawn(process.execPath, script('json', 'info', body))
    const said = text(child.stderr)
    await once(createInterface(child.stdout), 'line')
    child.stdout.destroy()
    await once(child.stdout, 'close')
    child.stdin.write('go')
    await once(child, 'exit')
    assert.deepEqual([await said, child.exitCode], ['alive', 7])
  })

  test('lines that nobody reads are dropped and counted, so that they do not fill the memory', async () => {
    const body = `
      for (let i = 0; i < 12_000; i++) logger.info('big', { pad: 'x'.repeat(1000) })
      process.stderr.write(String(process.stdout.writableLength < 9 * 2 ** 20))
      await logger.flush()
      logger.info('after')`
    const child = spawn(process.execPath, script('json', 'info', body))
    const [small] = (await once(child.stderr, 'data')) as [Buffer]
    assert.equal(small.toString(), 'true')
    const lines = (await text(child.stdout)).trim().split('\n').map(parse)
    const [notice, after] = lines.slice(-2)
    assert.equal(after?.['message'], 'after')
    assert.equal(notice?.['message'], 'log lines were dropped, because nobody read them')
    assert.equal(Number(notice['dropped']) + lines.length - 2, 12_000)
  })
})
