import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { settingsTable } from '../src/config/settings.ts'
import { eventually } from './kit/wait.ts'
import { finishedJobs, sqliteAt } from './ledger/ledgerKit.ts'
import { emptyFolder, runCli } from './config/processes.ts'

/** `--check` in a folder with the given files, and an addresses file. */
async function check(t: TestContext, env: Record<string, string>, files: Record<string, string> = {}) {
  const cwd = await emptyFolder(t)
  for (const [name, content] of Object.entries({ 'ips.txt': '10.0.0.1:4000\n', ...files }))
    await writeFile(path.join(cwd, name), content)
  return runCli(['--check'], { env, cwd })
}

const pemOf = ({ privateKey }: KeyPairKeyObjectResult) => privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

const cliFile = fileURLToPath(new URL('../src/cli.ts', import.meta.url))
const valid = { exitCode: 0, stdout: 'settings are valid\n', stderr: '' }
const badPort = 'PORT must be a whole number from 0 to 65535, not "x"\n'
const invalid = { exitCode: 1, stdout: '', stderr: badPort }

describe('--check', () => {
  test('says in one line that the settings are valid', async (t) => {
    assert.deepEqual(await check(t, {}), valid)
  })

  test('a bad value gives one line that names the setting and what is allowed, and exit code 1', async (t) => {
    assert.deepEqual(await check(t, { PORT: 'x' }), invalid)
  })

  test('a bad value stops the start in the same way', async (t) => {
    assert.deepEqual(await runCli([], { env: { PORT: 'x' }, cwd: await emptyFolder(t) }), invalid)
  })

  test('.env counts, and the real environment wins over it', async (t) => {
    assert.deepEqual(await check(t, {}, { '.env': 'PORT=x' }), invalid)
    assert.deepEqual(await check(t, { PORT: '1' }, { '.env': 'PORT=x' }), valid)
  })

  test('CONFIG_FILE counts, and .env wins over it', async (t) => {
    const files = { 'my.json': '{"PORT": "x"}' }
    assert.deepEqual(await check(t, { CONFIG_FILE: 'my.json' }, files), invalid)
    assert.deepEqual(await check(t, { CONFIG_FILE: 'my.json' }, { ...files, '.env': 'PORT=1' }), valid)
  })

  test('a CONFIG_FILE that does not parse is refused', async (t) => {
    const { exitCode, stderr } = await check(t, { CONFIG_FILE: 'my.json' }, { 'my.json': '{' })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^CONFIG_FILE my\.json is not JSON[^\n]*\n$/)
  })

  test('a name that is nearly one of a setting gets a warning, and is no error', async (t) => {
    const stderr = 'warning: LOG_LEVL in the environment is no setting and does nothing; did you mean LOG_LEVEL?\n'
    assert.deepEqual(await check(t, { LOG_LEVL: 'debug' }), { ...valid, stderr })
  })

  test('a ticket key file that is missing or holds no RSA key is refused by name', async (t) => {
    const env = { TICKET_KEY_FILE: 'key.pem' }
    const refused = (why: string) => ({ exitCode: 1, stdout: '', stderr: `TICKET_KEY_FILE: ${why}\n` })
    const advice = 'Put an RSA key in PEM there'
    assert.deepEqual(await check(t, env), refused('The ticket key file key.pem does not exist'))
    assert.deepEqual(
      await check(t, env, { 'key.pem': 'no key' }),
      refused(`The ticket key file key.pem holds no readable private key in PEM. ${advice}`),
    )
    assert.deepEqual(
      await check(t, env, { 'key.pem': pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' })) }),
      refused(`The ticket key file key.pem holds a key of type ec, not rsa. ${advice}`),
    )
    const sound = pemOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))
    assert.deepEqual(await check(t, env, { 'key.pem': sound }), valid)
  })

  test('a missing addresses file is a warning where none is named, and an error where one is', async (t) => {
    const cwd = await emptyFolder(t)
    const run = (env: Record<string, string>) => runCli(['--check'], { env, cwd })
    const missing = (file: string) => `IPS_FILE: ${file} does not exist\n`
    assert.deepEqual(await run({}), { ...valid, stderr: `warning: ${missing('ips.txt')}` })
    const refused = { exitCode: 1, stdout: '' }
    assert.deepEqual(await run({ IPS_FILE: 'ips.txt' }), { ...refused, stderr: missing('ips.txt') })
    await writeFile(path.join(cwd, 'my.json'), '{"ipsFile": "nodes.txt"}')
    assert.deepEqual(await run({ CONFIG_FILE: 'my.json' }), { ...refused, stderr: missing('nodes.txt') })
    assert.match((await run({ IPS_FILE: cwd })).stderr, /^IPS_FILE: .* cannot be read: EISDIR\n$/)
    assert.doesNotMatch((await run({ IPS_FILE: 'http://user:hush@lists.example/ips.txt' })).stderr, /hush/)
  })

  test('each bad line of the addresses file is named, with its number, text and fault', async (t) => {
    const ips = ['10.0.0.1:4000', 'ftp://10.0.0.2', '# fine', '10.0.0.3 concurrency=0', 'http://user:hush@x'].join('\n')
    const { exitCode, stdout, stderr } = await check(t, {}, { 'ips.txt': ips })
    assert.deepEqual([exitCode, stdout], [1, ''])
    const lines = stderr.trimEnd().split('\n')
    assert.match(lines[0]!, /^IPS_FILE: ips\.txt, line 2, "ftp:\/\/10\.0\.0\.2": only http/)
    assert.match(lines[1]!, /^IPS_FILE: ips\.txt, line 4, "10\.0\.0\.3 concurrency=0": concurrency must be/)
    assert.match(lines[2]!, /^IPS_FILE: ips\.txt, line 5, "http:\/\/\*\*\*@x": user names/)
    assert.equal(lines.length, 3)
    const many = (await check(t, {}, { 'ips.txt': 'bad:line:\n'.repeat(300) })).stderr.trimEnd().split('\n')
    assert.deepEqual([many.length, many.at(-1)], [101, 'IPS_FILE: ips.txt: 200 more bad lines'])
  })

  test('so is each bad entry of the services file; an unknown member is a warning', async (t) => {
    const services =
      '[\n{"name": "a", "url": "http://10.0.0.1", "wieght": 2},\n{"name": "b"},\n{"name": "a", "url": "x"}\n]'
    const env = { SERVICES_FILE: 'services.json' }
    const { exitCode, stderr } = await check(t, env, { 'services.json': services })
    assert.equal(exitCode, 1)
    assert.deepEqual(stderr.split('\n'), [
      'warning: SERVICES_FILE: services.json, line 2: unknown members ["wieght"] are ignored',
      'SERVICES_FILE: services.json, line 3, "b": url must be a string',
      'SERVICES_FILE: services.json, line 4, "a": a second service named "a"',
      '',
    ])
    const missing = { exitCode: 1, stdout: '', stderr: 'SERVICES_FILE: services.json does not exist\n' }
    assert.deepEqual(await check(t, env), missing)
    assert.match(
      (await check(t, env, { 'services.json': '{}' })).stderr,
      /^SERVICES_FILE: services\.json: expected a JSON/,
    )
  })

  test('so is each bad entry of the keys file, without its key', async (t) => {
    const keys = '[\n{"name": "a", "key": "hush"},\n{"name": "b", "key": "hush"},\n{"name": "hush hush"}\n]'
    const env = { KEYS_FILE: 'keys.json' }
    const { exitCode, stderr } = await check(t, env, { 'keys.json': keys })
    assert.equal(exitCode, 1)
    assert.deepEqual(stderr.split('\n'), [
      'KEYS_FILE: keys.json, line 3, "b": the key is that of entry 1 already',
      'KEYS_FILE: keys.json, line 4, "entry 3": name must be 1 to 64 letters, digits, dots, hyphens or underscores',
      '',
    ])
    assert.equal((await check(t, env)).stderr, 'KEYS_FILE: keys.json does not exist\n')
    assert.deepEqual(await check(t, env, { 'keys.json': '[]' }), valid)
  })

  test('a variable of an entry is looked up in the environment and in .env', async (t) => {
    const files = { 's.json': '[{"name": "a", "url": "http://10.0.0.1", "api_key": "${A_KEY}"}]' }
    assert.match((await check(t, { SERVICES_FILE: 's.json' }, files)).stderr, /A_KEY, which is not set/)
    assert.deepEqual(await check(t, { SERVICES_FILE: 's.json' }, { ...files, '.env': 'A_KEY=hush' }), valid)
  })

  test('a NODE_ENV without its file gets a warning, and is no error', async (t) => {
    const warning = (why: string) => ({ ...valid, stderr: `warning: NODE_ENV is ${why}\n` })
    assert.deepEqual(
      await check(t, { NODE_ENV: 'prod' }),
      warning('"prod" and sets nothing, since there is no config/prod.json'),
    )
    assert.deepEqual(
      await check(t, { NODE_ENV: '../x' }),
      warning('"../x" and sets nothing, since that is no name of a file in config/'),
    )
    assert.deepEqual(await check(t, { NODE_ENV: 'production' }), valid)
  })

  test('secrets do not reach the terminal', async (t) => {
    const { exitCode, stdout, stderr } = await check(t, { API_KEYS: 'hush hush', OPS_KEY: 'hush hush' })
    assert.equal(exitCode, 1)
    assert.doesNotMatch(stdout + stderr, /hush/)
  })
})

test('--version prints the version of the package', async () => {
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const printed = { exitCode: 0, stdout: `${manifest.version}\n`, stderr: '' }
  for (const option of ['--version', '-v']) assert.deepEqual(await runCli([option]), printed, option)
})

test('--help names every option and every setting', async () => {
  const { exitCode, stdout } = await runCli(['--help'])
  assert.equal(exitCode, 0)
  assert.equal((await runCli(['-h'])).stdout, stdout)
  for (const word of [
    '--check',
    '--copy-state',
    '--settings',
    '--version',
    '--help',
    'CONFIG_FILE',
    'PORT (4000)',
    'LOG_FORMAT',
  ]) {
    assert.ok(stdout.includes(word), word)
  }
})

test('--settings prints the table for config/README.md', async () => {
  assert.deepEqual(await runCli(['--settings']), { exitCode: 0, stdout: `${settingsTable()}\n`, stderr: '' })
})

test('an unknown option is refused with a hint and exit code 2', async () => {
  const stderr = 'unknown option --chekc; --help lists the options\n'
  assert.deepEqual(await runCli(['--check', '--chekc']), { exitCode: 2, stdout: '', stderr })
})

for (const version of ['22.18.0', '24.8.1']) {
  test(`an old Node, such as ${version}, gets one line that says so, before anything is loaded`, async () => {
    const script = `Object.defineProperty(process.versions, 'node', { value: '${version}' })`
    const nodeOptions = ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
    const stderr = `infernet-gateway needs Node 24.9 or newer; this is ${version}\n`
    assert.deepEqual(await runCli(['--version'], {}, nodeOptions), { exitCode: 1, stdout: '', stderr })
    const source = await readFile(new URL('../src/cli.ts', import.meta.url), 'utf8')
    assert.doesNotMatch(source, /^import (?!type)/m, 'a static import would be loaded before the version is looked at')
    assert.ok(source.startsWith('#!/usr/bin/env node\n'))
  })
}

describe('--copy-state', () => {
  const copy = (cwd: string, ...args: string[]) => runCli(['--copy-state', ...args], { cwd })

  test('copies one ledger to another and says in one line what was copied', async (t) => {
    const cwd = await emptyFolder(t)
    const ledger = await sqliteAt(t, path.join(cwd, 'from.db'))
    const ids = await finishedJobs(ledger, 3)
    await ledger.close()
    const stdout = 'copied 3 jobs (0 unfinished), 0 answers, the ticket numbers of 0 workers, no ticket key\n'
    const env = { STATE_URL: 'sqlite:to.db' }
    const ended = await runCli(['--copy-state', 'sqlite:from.db', 'STATE_URL'], { cwd, env })
    assert.deepEqual(ended, { exitCode: 0, stdout, stderr: '' })
    const copied = await sqliteAt(t, path.join(cwd, 'to.db'))
    assert.deepEqual(await copied.list('10.0.0.1', 'all'), ids)
  })

  test('refuses what cannot be copied with one line and exit code 1', async (t) => {
    const cwd = await emptyFolder(t)
    for (const [from, to, why] of [
      ['sqlite:none.db', 'sqlite:to.db', `${path.join(cwd, 'none.db')} does not exist: there is nothing to copy`],
      ['memory:', 'sqlite:to.db', 'memory: ends with its gateway: there is nothing to copy'],
      ['sqlite:', 'sqlite:to.db', 'STATE_URL: sqlite: needs a file, as in sqlite:data/gateway.db'],
    ] as const) {
      assert.deepEqual(await copy(cwd, from, to), { exitCode: 1, stdout: '', stderr: `not copied: ${why}\n` })
    }
    assert.deepEqual(await readdir(cwd), [])
  })

  test('needs two URLs, alone', async (t) => {
    const cwd = await emptyFolder(t)
    const stderr = '--copy-state needs two URLs as STATE_URL may be, FROM and TO, alone\n'
    for (const args of [[], ['sqlite:a'], ['sqlite:a', '--check'], ['sqlite:a', 'sqlite:b', 'sqlite:c']]) {
      assert.deepEqual(await copy(cwd, ...args), { exitCode: 2, stdout: '', stderr })
    }
  })

  test('that is killed leaves no ledger, but a rest that the next one names', async (t) => {
    const cwd = await emptyFolder(t)
    const ledger = await sqliteAt(t, path.join(cwd, 'from.db'))
    // Long enough to be killed amid it.
    for (let n = 0; n < 10; n++) await finishedJobs(ledger, 1, { result: Buffer.alloc(30_000_000, n + 1) })
    await ledger.close()
    const args = [cliFile, '--copy-state', 'sqlite:from.db', 'sqlite:to.db']
    const child = spawn(process.execPath, args, { cwd, env: {}, stdio: 'ignore' })
    const ended = once(child, 'close')
    const incomplete = path.join(cwd, 'to.db.incomplete')
    await eventually(() => existsSync(incomplete), { everyMs: 2 })
    child.kill('SIGKILL')
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    assert.ok(!existsSync(path.join(cwd, 'to.db')))
    const { exitCode, stderr } = await copy(cwd, 'sqlite:from.db', 'sqlite:to.db')
    assert.equal(exitCode, 1)
    assert.equal(stderr, `not copied: ${incomplete} is left of a copy that did not end: remove it and copy again\n`)
    for (const left of await readdir(cwd)) if (left.startsWith('to.db')) await rm(path.join(cwd, left))
    assert.equal((await copy(cwd, 'sqlite:from.db', 'sqlite:to.db')).exitCode, 0)
  })
})

describe('a gateway that cannot start', () => {
  async function startOnBusyPort(t: TestContext, more: Record<string, string>) {
    const server = createServer().listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const env = { HOST: '127.0.0.1', PORT: String(port), STATE_URL: 'memory:', ...more }
    return { port, ...(await runCli([], { env, cwd: await emptyFolder(t) })) }
  }

  test('says why in one line without a stack, and exits with code 1', async (t) => {
    const { port, exitCode, stderr } = await startOnBusyPort(t, {})
    assert.equal(exitCode, 1)
    assert.match(stderr, new RegExp(`^cannot start: [^\\n]*EADDRINUSE[^\\n]*:${port}\\n$`))
  })

  test('adds the stack where LOG_LEVEL is debug', async (t) => {
    const { exitCode, stderr } = await startOnBusyPort(t, { LOG_LEVEL: 'debug' })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^cannot start: [^\n]*EADDRINUSE[^\n]*\n +at /)
  })
})
