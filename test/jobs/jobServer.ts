/** The job calls over real sockets in this process, with a ledger in the test's hands. */
import express from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Fleet } from '../../src/fleet/fleet.ts'
import { Selector } from '../../src/dispatch/selector.ts'
import type { Logger } from '../../src/base/logger.ts'
import { errorHandler } from '../../src/http/errors.ts'
import { MemoryBudget } from '../../src/base/memory/budget.ts'
import { countMemory } from '../../src/http/requestMemory.ts'
import { limitPerCaller } from '../../src/http/rateLimits.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { submitBatch } from '../../src/jobs/batch.ts'
import type { JobDeps } from '../../src/jobs/deps.ts'
import { StatesByHand } from '../../src/jobs/statesByHand.ts'
import { Askers } from '../../src/jobs/askers.ts'
import { Idempotency } from '../../src/jobs/idempotency.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import { LiveJobs } from '../../src/jobs/liveJobs.ts'
import { readJobs } from '../../src/jobs/results.ts'
import { streamJob } from '../../src/jobs/stream.ts'
import { NodeAsks } from '../../src/jobs/takeover/nodeAsks.ts'
import { submitJob } from '../../src/jobs/submit.ts'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { Upstream } from '../../src/upstream/send.ts'
import { Forwarder } from '../../src/upstream/forwarder.ts'
import { Transport } from '../../src/upstream/transport.ts'
import { ListedNodes, startFleet, TEST_IDENTITY } from '../kit/builders/fleets.ts'
import type { Cleanup } from '../kit/wait.ts'

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface JobServer {
  readonly url: string
  readonly fleet: Fleet
  readonly ledger: Ledger
  readonly live: LiveJobs
  readonly askers: Askers
  readonly memory: MemoryBudget
}

/** Serves the job calls; nobody follows the jobs. */
export async function startJobServer(
  t: Cleanup,
  nodes: readonly { address: string }[],
  ledger: Ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 }),
  stallSeconds = 10,
): Promise<JobServer> {
  const source = new ListedNodes(...nodes.map(({ address }) => address))
  const fleet = await startFleet(t, [source], { refreshIntervalSeconds: 60, identity: TEST_IDENTITY })
  await fleet.whenReady(10)
  const selector = new Selector(fleet)
  const transport = new Transport({ connectTimeoutSeconds: 1, answerTimeoutSeconds: 10, idleTimeoutSeconds: 10 })
  const dispatcher = new Dispatcher(fleet, selector)
  const live = new LiveJobs(ledger, dispatcher)
  const askers = new Askers(live, ledger.shared)
  const upstream = new Upstream(dispatcher, transport)
  const forwarder = new Forwarder(upstream)
  const memory = new MemoryBudget(1e9)
  const deps: JobDeps = {
    byHand: new StatesByHand(ledger),
    ...{
      fleet,
      selector,
      upstream,
      transport,
      forwarder,
      ledger,
      live,
      askers,
      asks: new NodeAsks({ fleet, transport, memory, identity: TEST_IDENTITY }),
      via: TEST_IDENTITY.via,
    },
    idempotency: new Idempotency(ledger),
    logger: silentLogger,
    maxBodyBytes: 1e6,
    whenReady: async () => undefined,
  }
  const app = express()
  app.post('/api/jobs', countMemory(memory, submitJob(deps)))
  app.get('/api/jobs', countMemory(memory, readJobs(deps)))
  app.post('/api/jobs/stream', countMemory(memory, streamJob(deps)))
  const noLimit = limitPerCaller('PROXY_RATELIMIT_REQS_PER_MIN', { perMinute: 0 })
  app.post('/api/jobs/batch', countMemory(memory, submitBatch(deps, noLimit)))
  app.use(errorHandler)
  const server = createHttpServer(app, { stallSeconds })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await transport.close()
    await ledger.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, fleet, ledger, live, askers, memory }
}
