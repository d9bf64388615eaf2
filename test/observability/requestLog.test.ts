import express from 'express'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { GatewayFault } from '../../src/faults.ts'
import { errorHandler } from '../../src/http/errors.ts'
import { createHttpServer } from '../../src/http/server.ts'
import type { Logger } from '../../src/observability/logger.ts'
import { requestLog, type AccessLog } from '../../src/observability/requestLog.ts'
import { request } from '../kit/http.ts'

interface Line {
  level: string
  message: string
  reason?: string
}

/** The lines after one request to each of these paths, of which `/fails` is refused with this text. */
async function linesOf(
  t: TestContext,
  access: AccessLog,
  { paths, text = 'no', isDebug = false }: { paths: readonly string[]; text?: string; isDebug?: boolean },
): Promise<Line[]> {
  const lines: Line[] = []
  const writer = (level: string) => (message: string, fields: { reason?: string }) =>
    void lines.push({ level, message, ...(fields.reason !== undefined && { reason: fields.reason }) })
  const logger = { isDebug, debug: writer('debug'), info: writer('info'), warn: writer('warn') }
  const log = requestLog(logger as unknown as Logger, access)
  const app = express()
  let closed = 0
  const all = Promise.withResolvers<void>()
  app.use((req, res, next) => {
    res.on('close', () => {
      log(req, res)
      if (++closed === paths.length) all.resolve()
    })
    next()
  })
  app.get('/works', (_req, res) => void res.end())
  app.get('/fails', () => {
    throw new GatewayFault('ERR_BAD_REQUEST', text)
  })
  app.get('/breaks', () => {
    throw new GatewayFault('ERR_NO_NODE', text)
  })
  app.use(errorHandler)
  const server = createHttpServer(app).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  for (const path of paths) await request(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)
  await all.promise
  return lines
}

test('a reason in the log has at most 500 characters, however long what it quotes', async (t) => {
  const [line] = await linesOf(t, 'errors', { paths: ['/fails'], text: 'x'.repeat(1_000_000) })
  assert.equal(line?.reason, 'x'.repeat(500))
})

const paths = ['/works', '/fails', '/breaks']
const refused = { level: 'info', message: 'request refused', reason: 'no' }
const failed = { level: 'warn', message: 'request failed', reason: 'no' }

test('ACCESS_LOG=all has a line for each request', async (t) => {
  assert.deepEqual(await linesOf(t, 'all', { paths }), [{ level: 'info', message: 'request' }, refused, failed])
})

test('ACCESS_LOG=errors has one for each that failed, and at debug for the others too', async (t) => {
  assert.deepEqual(await linesOf(t, 'errors', { paths }), [refused, failed])
  const lines = await linesOf(t, 'errors', { paths, isDebug: true })
  assert.deepEqual(lines, [{ level: 'debug', message: 'request' }, refused, failed])
})

test('ACCESS_LOG=none has none', async (t) => {
  assert.deepEqual(await linesOf(t, 'none', { paths, isDebug: true }), [])
})
