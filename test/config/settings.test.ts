import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { describe, test } from 'node:test'
import type { SettingsSources } from '../../src/config/settings.ts'
import { loadSettings, SettingsError } from '../../src/config/settings.ts'
import { emptyFolder } from './processes.ts'

/** Settings from real files and the given environment; the folder is both package root and working directory. */
async function load(
  t: TestContext,
  environment: Record<string, string> = {},
  files: Record<string, string | Buffer> = {},
) {
  return loadSettings(await sources(t, environment, files))
}

async function sources(
  t: TestContext,
  environment: Record<string, string>,
  files: Record<string, string | Buffer>,
): Promise<SettingsSources> {
  const folder = await emptyFolder(t)
  await mkdir(path.join(folder, 'config'))
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder, name), content)
  return { environment, workingDirectory: folder, packageRoot: folder, isTerminal: false }
}

/** The lines of the refusal. */
async function refusal(
  t: TestContext,
  environment: Record<string, string>,
  files: Record<string, string | Buffer> = {},
): Promise<string[]> {
  const from = await sources(t, environment, files)
  try {
    loadSettings(from)
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error))
    return error.message.split('\n')
  }
  assert.fail(`accepted: ${JSON.stringify({ environment, files })}`)
}

test('without any source all settings have the promised defaults', async (t) => {
  assert.deepEqual(await load(t), {
    port: 4000,
    host: '0.0.0.0',
    reusePort: false,
    workers: 1,
    ipsFile: 'ips.txt',
    apiUrl: '',
    registryUrl: '',
    discoveryAllowPrivate: false,
    servicesFile: '',
    refreshIntervalSeconds: 30,
    lookupLimitPerMinute: 10,
    proxyLimitPerMinute: 600,
    readLimitPerMinute: 6000,
    maxJobsPerCaller: 1000,
    connectTimeoutSeconds: 1,
    proxyTimeoutSeconds: 300,
    streamIdleTimeoutSeconds: 300,
    queue: { size: 1000, timeoutSeconds: 60 },
    outageWaitSeconds: 8,
    maxBodyBytes: 32 * 1024 ** 2,
    memoryBudgetBytes: 512 * 1024 ** 2,
    maxResultBytes: 256 * 1024 ** 2,
    trustProxy: false,
    stateUrl: 'sqlite:data/gateway.db',
    replicaTimeoutSeconds: 10,
    stateMaxBytes: 1024 ** 3,
    jobTtlSeconds: 86_400,
    jobFailover: true,
    jobTimeoutSeconds: 900,
    statusAllowedIps: ['127.0.0.1', '::1'],
    apiKeys: [],
    keysFile: '',
    opsKey: '',
    ticketKeyFile: '',
    corsOrigins: [],
    drainTimeoutSeconds: 30,
    logLevel: 'info',
    logFormat: 'json',
    accessLog: 'errors',
    routingHeaders: false,
    httpsProxy: '',
    httpProxy: '',
    noProxy: [],
  })
})

test('settings and their lists are frozen', async (t) => {
  const settings = await load(t, { TRUST_PROXY: 'loopback' })
  for (const value of [settings, settings.statusAllowedIps, settings.apiKeys, settings.trustProxy]) {
    assert.ok(Object.isFrozen(value))
  }
})

describe('order of the sources', () => {
  test('stage file, CONFIG_FILE, .env and environment each win over those before', async (t) => {
    const rising = (...ports: number[]) => ({
      'config/staging.json': JSON.stringify(Object.fromEntries(ports.map((port) => [names[port], 1]))),
      'more.json': JSON.stringify(Object.fromEntries(ports.slice(1).map((port) => [names[port], 2]))),
      '.env': ports.slice(2).map((port) => `${names[port]}=3`).join('\n'), // prettier-ignore
    })
    const names = ['PORT', 'REFRESH_INTERVAL', 'CONNECT_TIMEOUT', 'JOB_TTL'] as const
    const settings = await load(t, { NODE_ENV: 'staging', CONFIG_FILE: 'more.json', JOB_TTL: '4' }, rising(0, 1, 2, 3))
    const read = [
      settings.port,
      settings.refreshIntervalSeconds,
      settings.connectTimeoutSeconds,
      settings.jobTtlSeconds,
    ]
    assert.deepEqual(read, [1, 2, 3, 4])
  })

  test("the stage file of the working directory is read instead of the package's", async (t) => {
    const [own, packaged] = [await sources(t, {}, {}), await sources(t, {}, {})]
    const stages = { workingDirectory: own.workingDirectory, packageRoot: packaged.packageRoot }
    const settingsAt = (stage: string) => loadSettings({ ...own, ...stages, environment: { NODE_ENV: stage } })
    const write = (folder: string, stage: string, values: object) =>
      writeFile(path.join(folder, 'config', `${stage}.json`), JSON.stringify(values))
    await write(packaged.packageRoot, 'staging', { PORT: 1, JOB_TTL: 2 })
    await write(packaged.packageRoot, 'production', { PORT: 3 })
    await write(own.workingDirectory, 'staging', { PORT: 4 })
    const { port, jobTtlSeconds } = settingsAt('staging')
    assert.deepEqual([port, jobTtlSeconds], [4, 86_400])
    assert.equal(settingsAt('production').port, 3)
  })

  test('NODE_ENV and CONFIG_FILE may stand in .env', async (t) => {
    const files = {
      '.env': 'NODE_ENV=staging\nCONFIG_FILE=more.json',
      'config/staging.json': '{"PORT": 1}',
      'more.json': '{"HOST": "::1"}',
    }
    const { port, host } = await load(t, {}, files)
    assert.deepEqual({ port, host }, { port: 1, host: '::1' })
  })

  test('an empty variable counts as unset, in the environment and in .env', async (t) => {
    const { port, host } = await load(
      t,
      { PORT: '', HOST: ' ', NODE_ENV: '', CONFIG_FILE: '' },
      { '.env': 'PORT=5\nHOST=' },
    )
    assert.deepEqual({ port, host }, { port: 5, host: '0.0.0.0' })
  })

  test('a NODE_ENV without file, or one that is no plain name, sets nothing', async (t) => {
    assert.equal((await load(t, { NODE_ENV: 'test' })).port, 4000)
    assert.equal((await load(t, { NODE_ENV: '../other' }, { 'other.json': '{"PORT": 1}' })).port, 4000)
  })

  test('the log is pretty on a terminal, unless something says otherwise', async (t) => {
    const from = { ...(await sources(t, {}, { 'config/staging.json': '{"LOG_FORMAT": "json"}' })), isTerminal: true }
    assert.equal(loadSettings(from).logFormat, 'pretty')
    assert.equal(loadSettings({ ...from, environment: { NODE_ENV: 'staging' } }).logFormat, 'json')
    assert.equal(loadSettings({ ...from, environment: { LOG_FORMAT: 'json' } }).logFormat, 'json')
  })
})

describe('settings files', () => {
  const fromFile = (t: TestContext, content: string) => load(t, { CONFIG_FILE: 'my.json' }, { 'my.json': content })
  const refusedFile = (t: TestContext, content: string) =>
    refusal(t, { CONFIG_FILE: 'my.json' }, { 'my.json': content })

  test('names count in any case and with or without underscores', async (t) => {
    const settings = await fromFile(t, '{"maxBody": 7, "LOG_LEVEL": "warn", "state_url": "memory:"}')
    assert.equal(settings.maxBodyBytes, 7)
    assert.equal(settings.logLevel, 'warn')
    assert.equal(settings.stateUrl, 'memory:')
  })

  test('values may be JSON numbers, truths and lists as well as text', async (t) => {
    const settings = await fromFile(
      t,
      '{"PORT": 0, "JOB_TTL": "1.5", "JOB_FAILOVER": false, "API_KEYS": ["a", "b"], "TRUST_PROXY": ["10.0.0.0/8"]}',
    )
    assert.equal(settings.port, 0)
    assert.equal(settings.jobTtlSeconds, 1.5)
    assert.equal(settings.jobFailover, false)
    assert.deepEqual(settings.apiKeys, ['a', 'b'])
    assert.deepEqual(settings.trustProxy, ['10.0.0.0/8'])
  })

  for (const [what, content, line] of [
    [
      'an unknown name is refused by name',
      '{"POTR": 1}',
      'CONFIG_FILE my.json sets "POTR", which is no setting; did you mean PORT?',
    ],
    ['a reserved name is refused too', '{"__proto__": 1}', 'CONFIG_FILE my.json sets "__proto__", which is no setting'],
    ['a setting in two spellings is refused', '{"PORT": 1, "port": 2}', 'CONFIG_FILE my.json sets PORT twice'],
    ['null is refused', '{"PORT": null}', 'CONFIG_FILE my.json sets PORT to null'],
    ['an object is refused', '{"PORT": {"a": {"b": 1}}}', 'CONFIG_FILE my.json sets PORT to an object'],
    ['a list is refused', '[]', 'CONFIG_FILE my.json must hold one JSON object, such as {"PORT": 4000}'],
    ['a value of the wrong type is refused', '{"PORT": true}', 'PORT must be a whole number from 0 to 65535, not true'],
  ] as const) {
    test(what, async (t) => {
      assert.deepEqual(await refusedFile(t, content), [line])
    })
  }

  test('a file that is not JSON is refused without quoting it, for it may hold secrets', async (t) => {
    const [line = ''] = await refusedFile(t, '{"API_KEYS": "hush-hush",}')
    assert.match(line, /^CONFIG_FILE my\.json is not JSON (\(line 1 column 26\)|at position 25)$/)
    assert.doesNotMatch((await refusedFile(t, '"API_KEYS": hush-hush'))[0] ?? '', /hush/)
  })

  test('a CONFIG_FILE that is missing or unreadable is refused', async (t) => {
    assert.deepEqual(await refusal(t, { CONFIG_FILE: 'no.json' }), ['CONFIG_FILE no.json does not exist'])
    assert.deepEqual(await refusal(t, { CONFIG_FILE: 'config' }), ['CONFIG_FILE config cannot be read (EISDIR)'])
  })

  test('a broken stage file is refused by its name', async (t) => {
    const lines = await refusal(t, { NODE_ENV: 'staging' }, { 'config/staging.json': '{"PRT": 1}' })
    assert.deepEqual(lines, ['config/staging.json sets "PRT", which is no setting; did you mean PORT?'])
  })
})

describe('.env', () => {
  const read = async (t: TestContext, text: string) => {
    const { opsKey, apiKeys } = await load(t, {}, { '.env': text })
    return { opsKey, apiKeys }
  }
  const cases: [string, string, string, string[]][] = [
    ['a key may begin with #', 'OPS_KEY=#tag5', '#tag5', []],
    ['a # within a key begins no comment', 'API_KEYS=abc#def,#x#', '', ['abc#def', '#x#']],
    ['a comment has white space before its #', "OPS_KEY=abc # it's mine\nAPI_KEYS=a#b,c\t#d", 'abc', ['a#b', 'c']],
    ['a value of nothing but a comment is empty', 'OPS_KEY= # nothing', '', []],
    ['quotes take everything', `OPS_KEY="a#b" # c\nAPI_KEYS='d, #e'#f`, 'a#b', ['d', '#e']],
    ['export, colons and blanks are read over', ' export OPS_KEY = x#y\nAPI_KEYS: z#', 'x#y', ['z#']],
    ['lines in quotes are one value', 'A="one\nOPS_KEY=no#thing\n#three"\nOPS_KEY=yes#', 'yes#', []],
    ['lines may end in CRLF', '# mine\r\nOPS_KEY=#a\r\nAPI_KEYS=b\r\n', '#a', ['b']],
    ['a byte order mark is passed over', '\uFEFFOPS_KEY=#a', '#a', []],
    ['letters for private use are letters', 'OPS_KEY=a#b # \uE000', 'a#b', []],
  ]
  for (const [rule, text, opsKey, apiKeys] of cases) {
    test(rule, async (t) => {
      assert.deepEqual(await read(t, text), { opsKey, apiKeys })
    })
  }
})

describe('a settings file that is not UTF-8', () => {
  const utf16 = (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le')
  const encodings: [string, (text: string) => Buffer][] = [
    ['UTF-16', utf16],
    ['big-endian UTF-16', (text) => utf16(text).swap16()],
    ['UTF-16 without a byte order mark', (text) => utf16(text).subarray(2)],
  ]
  for (const [what, encode] of encodings) {
    test(`in ${what} stops the start with a line that says so`, async (t) => {
      const inUtf16 = (label: string) => [`${label} is in UTF-16: save it as UTF-8`]
      assert.deepEqual(await refusal(t, {}, { '.env': encode('OPS_KEY=x') }), inUtf16('.env'))
      const files = { 'my.json': encode('{"PORT": 1}') }
      assert.deepEqual(await refusal(t, { CONFIG_FILE: 'my.json' }, files), inUtf16('CONFIG_FILE my.json'))
    })
  }

  test('but for a byte order mark is read', async (t) => {
    assert.equal((await load(t, { CONFIG_FILE: 'my.json' }, { 'my.json': '\uFEFF{"PORT": 1}' })).port, 1)
  })
})

describe('quotes that docker --env-file keeps', () => {
  const kept = (variable: string) =>
    `${variable} has quotes around its value, which would be part of it: take them off (docker --env-file keeps them)`

  for (const [variable, value] of [
    ['OPS_KEY', '"hush"'],
    ['OPS_KEY', `'hush'`],
    ['OPS_KEY', '""'],
    ['API_KEYS', '"hush,hush2"'],
    ['API_KEYS', `one, 'hush'`],
    ['IPS_FILE', '"ips.txt"'],
    ['SERVICES_FILE', '"services.json"'],
    ['TICKET_KEY_FILE', '"key.pem"'],
    ['CONFIG_FILE', `'my.json'`],
    ['STATE_URL', '"sqlite:data/gateway.db"'],
    ['NODE_ENV', '"production"'],
  ] as const) {
    test(`around ${variable}=${value} stop the start`, async (t) => {
      assert.deepEqual(await refusal(t, { [variable]: value }), [kept(variable)])
    })
  }

  test('are named in one line where there are several', async (t) => {
    assert.deepEqual(await refusal(t, { OPS_KEY: '"a"', API_KEYS: '"b"' }), [`${kept('API_KEYS')}; ${kept('OPS_KEY')}`])
  })

  test('are part of the name of a file that is really called so', async (t) => {
    assert.equal((await load(t, { IPS_FILE: '"odd"' }, { '"odd"': '' })).ipsFile, '"odd"')
  })

  test('are no quotes where only one side has them, and mean what they say in .env', async (t) => {
    assert.equal((await load(t, { OPS_KEY: `"a'` })).opsKey, `"a'`)
    assert.equal((await load(t, {}, { '.env': `OPS_KEY='"a"'` })).opsKey, '"a"')
  })
})

describe('an unknown name', () => {
  async function warnings(t: TestContext, environment: Record<string, string>, dotEnv = ''): Promise<string[]> {
    const lines: string[] = []
    loadSettings(await sources(t, environment, { '.env': dotEnv }), (line) => lines.push(line))
    return lines
  }

  for (const [name, meant] of [
    ['LOG_LEVL', 'LOG_LEVEL'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['log_level', 'LOG_LEVEL'],
    ['API_KEY', 'API_KEYS'],
    ['POTR', 'PORT'],
    ['IPSFILE', 'IPS_FILE'],
    ['PROXY_RATELIMIT_REQ_PER_MINUTE', undefined],
    ['PROXY_RATELIMIT_REQ_PER_MIN', 'PROXY_RATELIMIT_REQS_PER_MIN'],
    ['CONFIGFILE', 'CONFIG_FILE'],
    ['NODE_ENVS', 'NODE_ENV'],
    ['HOME', undefined],
    ['HOSTNAME', undefined],
    ['PATH', undefined],
    ['x'.repeat(100_000), undefined],
  ] as const) {
    const what = meant === undefined ? 'is none of ours' : `was probably meant to be ${meant}`
    test(`${name.slice(0, 40)} ${what}`, async (t) => {
      const line = (where: string) => `${name} in ${where} is no setting and does nothing; did you mean ${meant}?`
      assert.deepEqual(await warnings(t, { [name]: '1' }), meant === undefined ? [] : [line('the environment')])
      assert.deepEqual(await warnings(t, {}, `${name}=1`), meant === undefined ? [] : [line('.env')])
    })
  }

  test('that is close to none is refused in a file without a guess', async (t) => {
    const lines = await refusal(t, { CONFIG_FILE: 'my.json' }, { 'my.json': '{"COLOUR": 1}' })
    assert.deepEqual(lines, ['CONFIG_FILE my.json sets "COLOUR", which is no setting'])
  })
})

describe('values', () => {
  const accepted: [string, string, string, unknown][] = [
    ['PORT', '0', 'port', 0],
    ['PORT', ' 8080 ', 'port', 8080],
    ['HOST', '[::1]', 'host', '::1'],
    ['HOST', 'localhost', 'host', 'localhost'],
    ['REUSE_PORT', 'true', 'reusePort', true],
    ['WORKERS', '4', 'workers', 4],
    ['WORKERS', 'AUTO', 'workers', availableParallelism()],
    ['REPLICA_TIMEOUT', '0.5', 'replicaTimeoutSeconds', 0.5],
    ['TICKET_KEY_FILE', 'key.pem', 'ticketKeyFile', 'key.pem'],
    ['API_URL', 'https://explorer.example/base/', 'apiUrl', 'https://explorer.example/base'],
    ['DISCOVERY_ALLOW_PRIVATE', 'TRUE', 'discoveryAllowPrivate', true],
    ['JOB_FAILOVER', 'false', 'jobFailover', false],
    ['REFRESH_INTERVAL', '0.25', 'refreshIntervalSeconds', 0.25],
    ['REFRESH_INTERVAL', '.5', 'refreshIntervalSeconds', 0.5],
    ['DRAIN_TIMEOUT', '0', 'drainTimeoutSeconds', 0],
    ['RATELIMIT_REQS_PER_MIN', '0', 'lookupLimitPerMinute', 0],
    ['MAX_BODY', '512kb', 'maxBodyBytes', 512 * 1024],
    ['MAX_BODY', '1.5MB', 'maxBodyBytes', 1.5 * 1024 * 1024],
    ['MAX_BODY', '100', 'maxBodyBytes', 100],
    ['STATE_MAX_BYTES', '2gb', 'stateMaxBytes', 2 * 1024 ** 3],
    ['STATE_MAX_BYTES', '2tb', 'stateMaxBytes', 2 * 1024 ** 4],
    ['TRUST_PROXY', '2', 'trustProxy', 2],
    ['TRUST_PROXY', '0', 'trustProxy', false],
    ['TRUST_PROXY', 'false', 'trustProxy', false],
    ['TRUST_PROXY', 'loopback, 10.0.0.0/8,::1', 'trustProxy', ['loopback', '10.0.0.0/8', '::1']],
    ['STATE_URL', 'memory:', 'stateUrl', 'memory:'],
    ['STATE_URL', 'sqlite:/var/lib/g.db', 'stateUrl', 'sqlite:/var/lib/g.db'],
    ['STATUS_ALLOWED_IPS', '::ffff:10.0.0.1, 10.0.0.1,fd00::/8', 'statusAllowedIps', ['10.0.0.1', 'fd00::/8']],
    ['API_KEYS', 'one, two,,one', 'apiKeys', ['one', 'two']],
    ['OPS_KEY', 'watch=me', 'opsKey', 'watch=me'],
    ['MEMORY_BUDGET', '2gb', 'memoryBudgetBytes', 2 * 1024 ** 3],
    ['MAX_RESULT', '1gb', 'maxResultBytes', 1024 ** 3],
    [
      'CORS_ORIGINS',
      'https://a.example, http://localhost:3000',
      'corsOrigins',
      ['https://a.example', 'http://localhost:3000'],
    ],
    ['CORS_ORIGINS', '*', 'corsOrigins', ['*']],
  ]
  for (const [variable, text, name, value] of accepted) {
    test(`${variable}=${text} is read as ${JSON.stringify(value)}`, async (t) => {
      const settings = await load(t, { [variable]: text })
      assert.deepEqual(settings[name as keyof typeof settings], value)
    })
  }

  const seconds = (greatest: number, least = 0.001) =>
    `a number of seconds from ${least} to ${greatest}, fractions allowed, without a unit`
  const proxies =
    'false, the number of proxies in front (at most 100), or their addresses or CIDR ranges (not /0),' +
    ' loopback, linklocal, uniquelocal (true would let any client write its own address)'
  const stores = 'memory:, sqlite:FILE or redis://HOST'
  const state = `${stores}, such as sqlite:data/gateway.db`
  const redis =
    'redis: takes one host: lists of a cluster or of Sentinels are not supported; it is written redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]'
  const addresses = 'comma-separated IP addresses or CIDR ranges, such as 127.0.0.1,10.0.0.0/8'
  const keys = 'comma-separated keys of visible ASCII without whitespace'
  const size = 'a size from 1 byte to 1gb, such as 10mb, 512kb or a plain number of bytes'
  const origins =
    'comma-separated origins, such as https://app.example,http://localhost:3000 (no path, no default port), or *'
  const url = 'an http:// or https:// URL without query and fragment'
  const proxy = 'an http:// or https:// URL of a proxy without a path, such as http://proxy.example:3128'
  const refused: [string, string, string, string?][] = [
    ['PORT', '80x', 'a whole number from 0 to 65535', '"80x"'],
    ['PORT', '65536', 'a whole number from 0 to 65535', '65536'],
    ['PORT', '-1', 'a whole number from 0 to 65535', '"-1"'],
    ['HOST', 'localhost:4000', 'an IP address or a host name, without a port', '"localhost:4000"'],
    ['HOST', '10.0.0.256', 'an IP address or a host name, without a port', '"10.0.0.256"'],
    ['REUSE_PORT', '1', 'true or false', '"1"'],
    ['WORKERS', '0', 'a whole number from 1 to 512, or auto'],
    ['WORKERS', '-1', 'a whole number from 1 to 512, or auto', '"-1"'],
    ['WORKERS', '513', 'a whole number from 1 to 512, or auto', '513'],
    ['WORKERS', 'all', 'a whole number from 1 to 512, or auto', '"all"'],
    ['REPLICA_TIMEOUT', '0.4', seconds(3600, 0.5), '0.4'],
    ['TICKET_KEY_FILE', 'http://u:hush@host/key.pem', 'the name of a file', '"http://***@host/key.pem"'],
    ['REFRESH_INTERVAL', '30s', seconds(3600), '"30s"'],
    ['REFRESH_INTERVAL', 'Infinity', seconds(3600), '"Infinity"'],
    ['PROXY_TIMEOUT', '0', seconds(86_400)],
    ['CONNECT_TIMEOUT', '0.0001', seconds(3600), '0.0001'],
    ['QUEUE_SIZE', '-1', 'a whole number from 0 to 1000000', '"-1"'],
    ['QUEUE_TIMEOUT', '0', seconds(86_400)],
    ['OUTAGE_WAIT', '-1', seconds(3600, 0), '"-1"'],
    ['JOB_TIMEOUT', '604801', seconds(604_800), '604801'],
    ['RATELIMIT_REQS_PER_MIN', '1.5', 'a whole number from 0 to 1000000000', '"1.5"'],
    ['JOB_FAILOVER', 'yes', 'true or false', '"yes"'],
    ['MAX_BODY', '10mib', size, '"10mib"'],
    ['MAX_BODY', '2gb', size, '2147483648'],
    ['MAX_BODY', '0', size],
    ['MEMORY_BUDGET', '512kb', 'a size from 1mb to 1tb, such as 10mb, 512kb or a plain number of bytes', '524288'],
    ['CORS_ORIGINS', 'app.example', origins, '["app.example"]'],
    ['CORS_ORIGINS', 'https://app.example/', origins, '["https://app.example/"]'],
    ['CORS_ORIGINS', 'https://app.example:443', origins, '["https://app.example:443"]'],
    ['TRUST_PROXY', 'true', proxies, 'true'],
    ['TRUST_PROXY', '0.0.0.0/0', proxies, '["0.0.0.0/0"]'],
    ['TRUST_PROXY', '10.1', proxies, '["10.1"]'],
    ['TRUST_PROXY', ',', proxies, '","'],
    ['STATUS_ALLOWED_IPS', 'localhost', addresses, '["localhost"]'],
    ['STATUS_ALLOWED_IPS', '10.0.0.0/33', addresses, '["10.0.0.0/33"]'],
    ['IPS_FILE', 'http://u:hush@host/ips.txt', 'the name of a file', '"http://***@host/ips.txt"'],
    ['HOST', 'u:hush@host', 'an IP address or a host name, without a port', '"***@host"'],
    ['CORS_ORIGINS', 'https://u:hush@app.example', origins, '["https://***@app.example"]'],
    ['LOG_LEVEL', 'loud', 'one of error, warn, info, debug', '"loud"'],
    ['LOG_FORMAT', 'xml', 'one of json, pretty', '"xml"'],
    ['STATE_URL', 'postgres://u:hush@db', state],
    ['STATE_URL', 'sqlite:', state],
    ['STATE_URL', 'sqlite://data/x.db', state],
    ['STATE_URL', 'sqlite::memory:', state],
    ['STATE_URL', 'redis://:hush@a,b', `${stores}; ${redis}`],
    ['API_URL', 'ftp://u:hush@explorer', url],
    ['API_URL', 'http://', url],
    ['API_URL', 'http://explorer/?key=hush', url],
    ['HTTPS_PROXY', 'socks5://u:hush@proxy', proxy],
    ['HTTP_PROXY', 'http://u:hush@proxy/path', proxy],
    ['HTTP_PROXY', 'http://u:hush%@proxy', proxy],
    ['API_KEYS', 'one,hush hush', keys],
    ['API_KEYS', ',', keys],
    ['API_KEYS', 'hüsh', keys],
    ['OPS_KEY', 'hush,hush', 'one key of visible ASCII without commas and whitespace'],
  ]
  for (const [variable, text, allowed, shown] of refused) {
    test(`${variable}=${text} is refused`, async (t) => {
      const line = `${variable} must be ${allowed}${shown === undefined ? '' : `, not ${shown}`}`
      assert.deepEqual(await refusal(t, { [variable]: text }), [line])
    })
  }

  test('several bad values are named in one line', async (t) => {
    assert.deepEqual(await refusal(t, { PORT: 'x', JOB_FAILOVER: 'x', API_KEYS: 'hush hush' }), [
      'PORT must be a whole number from 0 to 65535, not "x"; JOB_FAILOVER must be true or false, not "x"; ' +
        `API_KEYS must be ${keys}`,
    ])
  })

  test('a request body that could never fit into the share of one caller is refused at the start', async (t) => {
    assert.deepEqual(await refusal(t, { MAX_BODY: '200mb' }), [
      'MAX_BODY must be at most a quarter of MEMORY_BUDGET (128mb), not 200mb; raise MEMORY_BUDGET to at least 800mb',
    ])
    assert.equal((await load(t, { MAX_BODY: '200mb', MEMORY_BUDGET: '800mb' })).maxBodyBytes, 200 * 1024 ** 2)
  })

  test('several WORKERS and REUSE_PORT exclude each other', async (t) => {
    assert.deepEqual(await refusal(t, { WORKERS: '2', REUSE_PORT: 'true' }), [
      'REUSE_PORT must be false with several WORKERS (2), which share the port already',
    ])
    assert.equal((await load(t, { WORKERS: '1', REUSE_PORT: 'true' })).reusePort, true)
  })

  test('a bad value that a better source overrides does no harm', async (t) => {
    assert.equal((await load(t, { PORT: '5' }, { '.env': 'PORT=bad' })).port, 5)
  })
})
