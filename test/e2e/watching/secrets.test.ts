/** User names and passwords of addresses that are refused, or cannot be reached, stay out of the log and of all answers. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { freePort } from '../../kit/wait.ts'

const SECRET = /hush/i

describe('a password in an address', { concurrency: 4 }, () => {
  test('of the files and the explorer is never told', async (t) => {
    const lines = [
      'http://user:hush@node.example:4000',
      'user:hush@node.example:4000',
      'https://user:hush/hush@node.example',
      'http://user:my hush word@node.example',
      'http://user:my#hush #hush@node.example',
      `http://user:${'hush'.repeat(100)}@node.example`,
      'http://user:hush%40node.example',
      'dns://user:hush@node.example',
      'ftp://user:hush@node.example  concurrency=4',
      '192.0.2.1:99999 user:hush@node.example',
    ]
    const gateway = await spawnGateway(t, {
      ipsLines: lines,
      services: [
        { name: 'one', url: 'http://user:hush@service.example/v1' },
        { name: 'two', url: 'user:hush@service.example' },
        { name: 'three', url: 'http://user:hush/@service.example', api_key: 'hush' },
      ],
      env: { API_URL: `http://user:hush@127.0.0.1:${await freePort()}` },
    })
    const isBadLine = (line: { message?: string }): boolean =>
      line.message === 'bad line in the addresses file, skipped'
    await gateway.waitForLog((line) => isBadLine(line) && line['line'] === lines.length)
    await gateway.waitForLog((line) => line.message === 'services file read')
    await gateway.waitForLog((line) => line.message?.startsWith('explorer gave no usable list') ?? false)
    assert.equal(gateway.logs.filter(isBadLine).length, lines.length)
    const [first] = gateway.logs.filter(isBadLine)
    assert.equal(first?.['text'], 'http://***@node.example:4000')
    for (const path of ['/stats', '/services', '/health', '/metrics']) {
      assert.doesNotMatch((await request(gateway.url + path)).text, SECRET, path)
    }
    assert.doesNotMatch(gateway.output, SECRET)
  })

  for (const [variable, value] of [
    ['API_URL', 'user:hush@explorer.example'],
    ['API_URL', 'http://user:hush@explorer.example?x'],
    ['STATE_URL', 'redis://user:hush@store.example/x'],
    ['HOST', 'http://user:hush@0.0.0.0'],
    ['IPS_FILE', 'http://user:hush@lists.example/ips.txt'],
    ['SERVICES_FILE', 'https://user:hush@lists.example/services.json'],
    ['CONFIG_FILE', 'https://user:hush@lists.example/settings.json'],
    ['CORS_ORIGINS', 'https://user:hush@app.example'],
  ] as const) {
    test(`that stands in a refused ${variable} is not told: ${value.replace('hush', '…')}`, async (t) => {
      const gateway = await spawnGateway(t, { env: { [variable]: value }, listening: false })
      const { code } = await gateway.exited
      assert.equal(code, 1)
      assert.match(gateway.output, new RegExp(`^${variable} `))
      assert.doesNotMatch(gateway.output, SECRET)
    })
  }
})

describe('a mistake in how the gateway is set up gets a clear line', { concurrency: 4 }, () => {
  test('where a name is nearly one of a setting', async (t) => {
    const gateway = await spawnGateway(t, { env: { LOG_LEVL: 'debug' }, cwdFiles: { '.env': 'OPSKEY=x\n' } })
    for (const [name, meant] of [
      ['LOG_LEVL in the environment', 'LOG_LEVEL'],
      ['OPSKEY in .env', 'OPS_KEY'],
    ]) {
      const message = `${name} is no setting and does nothing; did you mean ${meant}?`
      await gateway.waitForLog((line) => line.level === 'warn' && line.message === message)
    }
  })

  test('where a list is in UTF-16; saved as UTF-8 it is read', async (t) => {
    const gateway = await spawnGateway(t, { services: [] })
    const inUtf16 = Buffer.from('\uFEFF192.0.2.1:4000\r\n', 'utf16le')
    const path = join(gateway.cwd, 'ips.txt')
    await writeFile(path, inUtf16)
    const { level, error } = await gateway.waitForLog(
      ({ message }) => message?.startsWith('addresses file cannot') ?? false,
    )
    assert.equal(level, 'warn')
    assert.equal((error as Error).message, 'the file is in UTF-16: save it as UTF-8')
    await writeFile(path, inUtf16.toString('utf16le'))
    await gateway.waitForLog(({ message, nodes }) => message === 'addresses file read' && nodes === 1)
    await writeFile(join(gateway.cwd, 'services.json'), Buffer.from('[]', 'utf16le'))
    await gateway.waitForLog(({ message }) => message?.startsWith('services file cannot') ?? false)
  })

  test('where OPS_KEY=#tag5 in .env would be taken for no key', async (t) => {
    const gateway = await spawnGateway(t, { cwdFiles: { '.env': 'OPS_KEY=#tag5\n' } })
    assert.equal((await request(`${gateway.url}/stats`)).status, 401)
    const headers = { Authorization: 'Bearer #tag5' }
    assert.equal((await request(`${gateway.url}/stats`, { headers })).status, 200)
  })
})
