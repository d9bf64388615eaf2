import assert from 'node:assert/strict'
import { after, mock, test } from 'node:test'
import express from 'express'
import { loadSettings } from '../../src/config/settings.ts'
import { start } from '../../src/main.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { request } from '../kit/http.ts'
import { tempDir } from '../kit/wait.ts'
import { description, operations } from './document.ts'

const folder = await tempDir({ after })
const settings = loadSettings({
  environment: {
    PORT: '0',
    HOST: '127.0.0.1',
    STATE_URL: 'memory:',
    LOG_LEVEL: 'error',
    IPS_FILE: `${folder}/ips.txt`,
  },
  workingDirectory: folder,
  packageRoot: folder,
  isTerminal: false,
})

// Only seen, not changed: Express is asked for a route wherever one is registered.
const registrations = mock.method(express.application, 'route')
const gateway = await start(settings, createLogger({ level: 'error', format: 'json' }))
after(() => gateway.stop())
const registered = registrations.mock.calls.flatMap(({ arguments: [path] }) => path as unknown as string | string[])
const url = `http://127.0.0.1:${gateway.port}`

test('every registered path is described', () => {
  assert.ok(registered.length > 20)
  const described = Object.keys(description.paths)
  for (const path of registered) {
    const prefix = /^(.*\/)\*\w+$/.exec(path)?.[1]?.replace(/:(\w+)/g, '{$1}')
    const isDescribed =
      prefix === undefined
        ? described.includes(path.replace(/:(\w+)/g, '{$1}'))
        : described.some((one) => one.startsWith(prefix))
    assert.ok(isDescribed, `${path} is not described`)
  }
})

test('every described path is registered, with exactly the described methods', async () => {
  for (const path of Object.keys(description.paths)) {
    const answer = await request(url + path, { method: 'OPTIONS' })
    assert.equal(answer.status, 204, path)
    const methods = operations.filter((one) => one.path === path).map(({ method }) => method)
    const allowed = (answer.headers.allow ?? '').split(', ').filter((method) => !['HEAD', 'OPTIONS'].includes(method))
    assert.deepEqual(allowed.sort(), methods.sort(), path)
  }
})

test('the description is served as JSON, with the version of the gateway', async () => {
  const answer = await request(`${url}/openapi.json`)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['content-type'], 'application/json')
  const served = answer.json<typeof description & { openapi: string; info: { version: string } }>()
  assert.match(served.openapi, /^3\.1\./)
  assert.match(served.info.version, /^\d+\.\d+\.\d+/)
  assert.deepEqual(served.paths, description.paths)
})
