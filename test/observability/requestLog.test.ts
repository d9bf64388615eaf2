import express from 'express'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { GatewayFault } from '../../src/faults.ts'
import { errorHandler } from '../../src/http/errors.ts'
import { createHttpServer } from '../../src/http/server.ts'
import type { Logger } from '../../src/observability/logger.ts'
import { logRequest } from '../../src/observability/requestLog.ts'
import { request } from '../kit/http.ts'

test('a reason in the log has at most 500 characters, however long what it quotes', async (t) => {
  const { promise: reason, resolve } = Promise.withResolvers<string>()
  const logger = { isDebug: false, info: (_: string, line: { reason: string }) => resolve(line.reason) }
  const app = express()
  app.use((req, res, next) => {
    res.on('close', () => logRequest(logger as unknown as Logger, req, res))
    next()
  })
  app.get('/', () => {
    throw new GatewayFault('ERR_BAD_REQUEST', 'x'.repeat(1_000_000))
  })
  app.use(errorHandler)
  const server = createHttpServer(app).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  await request(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  assert.equal(await reason, 'x'.repeat(500))
})
