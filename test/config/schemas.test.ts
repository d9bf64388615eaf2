import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import { AddressError } from '../../src/fleet/address.ts'
import { KeyEntryError, readKeyEntry } from '../../src/http/keys/keyEntry.ts'
import { readServiceEntry, SERVICE_MEMBERS } from '../../src/fleet/sources/serviceEntry.ts'
import { loadSettings, SettingsError } from '../../src/config/settings.ts'
import { configSchemaText } from './configSchema.ts'
import { emptyFolder } from './processes.ts'

const folder = new URL('../../config/', import.meta.url)
const read = (name: string): Promise<string> => readFile(new URL(name, folder), 'utf8')
const readJson = async (name: string): Promise<unknown> => JSON.parse(await read(name)) as unknown

async function validator(name: string): Promise<ValidateFunction> {
  return new Ajv({ allErrors: true, allowUnionTypes: true }).compile((await readJson(name)) as AnySchema)
}

async function assertMatches(example: string, schema: string): Promise<void> {
  const validate = await validator(schema)
  validate(await readJson(example))
  assert.deepEqual(validate.errors ?? [], [], `${example} and ${schema}`)
}

describe('the schema of settings files', () => {
  test('has every setting with its meaning, default and limits', async () => {
    assert.equal(
      await read('config.schema.json'),
      await configSchemaText(),
      'write it with `node_modules/.bin/node test/config/configSchema.ts > config/config.schema.json`',
    )
  })

  for (const file of ['config.json.example', 'production.json']) {
    test(`is named by ${file}, which matches it and which the gateway accepts`, async (t) => {
      await assertMatches(file, 'config.schema.json')
      const { $schema } = (await readJson(file)) as { $schema?: string }
      assert.equal($schema, './config.schema.json')
      const workingDirectory = await emptyFolder(t)
      const environment = { CONFIG_FILE: fileURLToPath(new URL(file, folder)) }
      loadSettings({ environment, workingDirectory, packageRoot: workingDirectory, isTerminal: false })
    })
  }

  test('agrees with the gateway on names, types, limits and forms of values', async (t) => {
    const validate = await validator('config.schema.json')
    const workingDirectory = await emptyFolder(t)
    const sources = { workingDirectory, packageRoot: workingDirectory, isTerminal: false }
    const isAccepted = async (settings: object): Promise<boolean> => {
      await writeFile(path.join(workingDirectory, 'c.json'), JSON.stringify(settings))
      try {
        loadSettings({ ...sources, environment: { CONFIG_FILE: 'c.json' } })
        return true
      } catch (error) {
        if (error instanceof SettingsError) return false
        throw error
      }
    }
    const files: readonly object[] = [
      { $schema: './config.schema.json' },
      { PORT: 4000 },
      { PORT: '4000' },
      { PORT: 65_536 },
      { PORT: 4000.5 },
      { PORT: null },
      { PROT: 4000 },
      { WORKERS: 4 },
      { WORKERS: '4' },
      { WORKERS: 'Auto' },
      { WORKERS: 0 },
      { WORKERS: 'all' },
      { REPLICA_TIMEOUT: 0.5 },
      { REPLICA_TIMEOUT: 0.4 },
      { REUSE_PORT: true },
      { REUSE_PORT: 1 },
      { REFRESH_INTERVAL: 0.5 },
      { REFRESH_INTERVAL: '0.5' },
      { REFRESH_INTERVAL: '30s' },
      { REFRESH_INTERVAL: 3601 },
      { MAX_BODY: 1024 },
      { MAX_BODY: '1.5 MB' },
      { MAX_BODY: '10 megabytes' },
      { JOB_FAILOVER: false },
      { JOB_FAILOVER: 'False' },
      { JOB_FAILOVER: 0 },
      { LOG_LEVEL: 'warn' },
      { LOG_LEVEL: 'loud' },
      { IPS_FILE: '' },
      { SERVICES_FILE: '' },
      { API_URL: '' },
      { API_URL: 'https://explorer.example' },
      { API_URL: 'explorer.example' },
      { STATE_URL: 'memory:' },
      { STATE_URL: 'sqlite:jobs.db' },
      { STATE_URL: 'redis://a' },
      { TRUST_PROXY: false },
      { TRUST_PROXY: true },
      { TRUST_PROXY: 2 },
      { TRUST_PROXY: ['loopback'] },
      { TRUST_PROXY: {} },
      { API_KEYS: ['a', 'b'] },
      { API_KEYS: 'a,b' },
      { API_KEYS: [1] },
      { OPS_KEY: 'a key' },
      { OPS_KEY: 'key' },
      { NO_PROXY: 'localhost' },
    ]
    for (const settings of files) {
      assert.equal(validate(settings), await isAccepted(settings), JSON.stringify(settings))
    }
  })
})

describe('the schema of the services file', () => {
  test('knows exactly the members that the gateway knows', async () => {
    const { items } = (await readJson('services.schema.json')) as { items: { properties: object } }
    assert.deepEqual(Object.keys(items.properties).sort(), [...SERVICE_MEMBERS].sort())
  })

  test('matches the example, every entry of which the gateway accepts', async () => {
    await assertMatches('services.json.example', 'services.schema.json')
    for (const entry of (await readJson('services.json.example')) as unknown[]) readServiceEntry(entry, () => 'key')
  })

  test('agrees with the gateway on members, types, limits and forms of values', async () => {
    const validate = await validator('services.schema.json')
    const isAccepted = (entry: unknown): boolean => {
      try {
        readServiceEntry(entry, () => 'key')
        return true
      } catch (error) {
        if (error instanceof AddressError) return false
        throw error
      }
    }
    const least = { name: 'a', url: 'http://a.example' }
    const entries: readonly unknown[] = [
      least,
      'http://a.example',
      null,
      { name: 'a' },
      { url: 'http://a.example' },
      { ...least, name: '' },
      { ...least, name: 'two words' },
      { ...least, name: ' a' },
      { ...least, url: 5 },
      { ...least, url: 'http://a.example#top' },
      { ...least, url: 'http://a.example/v1?api-version=preview' },
      ...[null, [], ['*'], [''], 'm'].map((models) => ({ ...least, models })),
      ...[null, {}, { a: 'b' }, { a: '' }, { '': 'b' }, { a: 1 }, []].map((aliases) => ({ ...least, aliases })),
      ...[null, 0.5, 0, -1, '2'].map((weight) => ({ ...least, weight })),
      ...[null, 1, 0, 1.5, '2'].map((concurrency) => ({ ...least, concurrency })),
      ...[null, '', 'key', '${KEY}', '${A B}', 'a${KEY}', 'a key', 5].map((key) => ({ ...least, api_key: key })),
      ...[null, '', 'api-key', 'api key', 5].map((header) => ({ ...least, api_key_header: header })),
      ...[null, '', '/v1', '/api/v2/', 'v1', '/a b', 5].map((prefix) => ({ ...least, prefix })),
      ...[null, true, false, 'true', 1].map((drain) => ({ ...least, drain })),
    ]
    for (const entry of entries) assert.equal(validate([entry]), isAccepted(entry), JSON.stringify(entry))
  })
})

describe('the schema of the keys file', () => {
  test('knows exactly the members that the gateway knows', async () => {
    const { items } = (await readJson('keys.schema.json')) as { items: { properties: object } }
    const known = Object.keys(items.properties).join(', ')
    const expected = new KeyEntryError(`unknown member; allowed: ${known}`)
    assert.throws(() => readKeyEntry({ unknown: 1 }), expected)
  })

  test('matches the example, every entry of which the gateway accepts', async () => {
    await assertMatches('keys.json.example', 'keys.schema.json')
    for (const entry of (await readJson('keys.json.example')) as unknown[]) readKeyEntry(entry)
  })

  test('agrees with the gateway on members, types, limits and forms of values', async () => {
    const validate = await validator('keys.schema.json')
    const isAccepted = (entry: unknown): boolean => {
      try {
        readKeyEntry(entry)
        return true
      } catch (error) {
        if (error instanceof KeyEntryError) return false
        throw error
      }
    }
    const least = { name: 'a', key: 'k' }
    const digest = 'aB'.repeat(32)
    const entries: readonly unknown[] = [
      ...[least, 'k', null, { name: 'a' }, { key: 'k' }, { ...least, key: null }, { ...least, key_sha256: digest }],
      ...[
        { name: 'a', key_sha256: digest },
        { name: 'a', key: null, key_sha256: digest },
        { ...least, key_sha256: null },
      ],
      ...[digest.slice(1), `${digest}0`, `g${digest.slice(1)}`, 5].map((key_sha256) => ({ name: 'a', key_sha256 })),
      ...['', 'two words', 'ü', 'a'.repeat(64), 'a'.repeat(65), 'A.b_c-9', 5].map((name) => ({ ...least, name })),
      ...['', ' k', 'kü', '${NAME}', '$NAME', 5, null].map((key) => ({ name: 'a', key })),
      ...['requests_per_min', 'tokens_per_min', 'max_jobs'].flatMap((member) =>
        [0, 1, 1e9, 1e9 + 1, -1, 0.5, '1', null].map((value) => ({ ...least, [member]: value })),
      ),
      ...[0, -1, 0.1, 10, '1', null].map((weight) => ({ ...least, weight })),
      ...['high', 'normal', 'low', 'High', '', 1, null].map((priority) => ({ ...least, priority })),
      ...[
        '2027-01-31',
        '2027-01-31T18:00Z',
        '2027-01-31T18:00:00.5+02:00',
        '2027-01-31T18:00',
        '31.1.2027',
        5,
        null,
      ].map((expires) => ({ ...least, expires })),
      { ...least, requests: 1 },
    ]
    for (const entry of entries) assert.equal(validate([entry]), isAccepted(entry), JSON.stringify(entry))
  })
})
