/** Gateways in this process that share a ledger, each with the address that its nodes know it by. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { writeFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { parseStateUrl, type RedisUrl } from '../../../src/base/stateUrl.ts'
import { loadSettings } from '../../../src/config/settings.ts'
import { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import type { Ledger, SharedLedger } from '../../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import { RedisLedger } from '../../../src/ledger/redis/ledger.ts'
import { start } from '../../../src/main.ts'
import type { Membership } from '../../../src/replicas/index.ts'
import { silentLogger } from '../jobServer.ts'
import type { FakeNode } from '../../kit/fakeNode/index.ts'
import { startFaultyProxy } from '../../kit/faultyProxy.ts'
import { request } from '../../kit/http.ts'
import { type RedisServer, startRedis } from '../../kit/redisServer.ts'
import { type Cleanup, eventually, tempDir } from '../../kit/wait.ts'

/** The console belongs to the test's own report. */
const logger = { ...silentLogger, isDebug: false, flush: async () => undefined }

/** The address from which the connections of what runs in it leave. */
const leavingFrom = new AsyncLocalStorage<string>()

const prototype = Socket.prototype as unknown as { connect: (this: Socket, ...given: unknown[]) => Socket }
const { connect } = prototype
prototype.connect = function (...given: unknown[]): Socket {
  const localAddress = leavingFrom.getStore()
  const first = Array.isArray(given[0]) ? (given[0] as unknown[])[0] : given[0]
  if (localAddress !== undefined && typeof first === 'object' && first !== null && 'port' in first) {
    Object.assign(first, { localAddress })
  }
  return connect.apply(this, given)
}

export interface Replica {
  readonly url: string
  readonly ledger: SharedLedger
  /** As on SIGTERM. */
  stop(): Promise<void>
}

export interface ReplicaOptions {
  readonly nodes: readonly FakeNode[]
  readonly ledger: SharedLedger
  /** By which its nodes know it; 127.0.0.1 where nothing is said. */
  readonly address?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A ledger of one gateway among several. */
export interface Member {
  readonly ledger: SharedLedger
  /** From now on the store hears nothing from it, and the others take it for dead. */
  die(): Promise<void>
  /** Its line to the store is whole again, where it has one. */
  mend(): void
}

/** What several gateways share. */
export interface Store {
  join(): Promise<Member>
}

/** A hub over a ledger in memory. */
export async function openHub(t: Cleanup): Promise<WorkerHub> {
  const ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  const hub = await WorkerHub.open(ledger)
  t.after(async () => {
    await hub.close()
    await ledger.close()
  })
  return hub
}

export async function hubStore(t: Cleanup): Promise<Store> {
  const hub = await openHub(t)
  return {
    join: async () => {
      const ledger = hub.join()
      return { ledger, die: () => ledger.close(), mend: () => undefined }
    },
  }
}

/** A Redis that each gateway reaches over a line of its own; one whose line is cut is dead to the others after a while. */
export async function redisStore(t: Cleanup, replicaTimeoutMs: number, server?: RedisServer): Promise<Store> {
  const redis = server ?? (await startRedis(t))
  const { port } = new URL(redis.url())
  return {
    join: async () => {
      const line = await startFaultyProxy(t, Number(port))
      const url = parseStateUrl(`redis://${line.address}`) as RedisUrl
      const limits = { maxBytes: 1e9, ttlMs: 1e9 }
      const ledger = await RedisLedger.open({ url, replicaTimeoutMs, logger, ...limits })
      return { ledger, die: async () => line.cut(), mend: () => line.mend() }
    },
  }
}

/** A gateway whose nodes are healthy. */
export async function startReplica(t: Cleanup, options: ReplicaOptions): Promise<Replica> {
  const { nodes, ledger, address = '127.0.0.1', env } = options
  const cwd = await tempDir(t)
  await writeFile(join(cwd, 'ips.txt'), nodes.map((node) => `${node.address}\n`).join(''))
  const environment = {
    ...{ PORT: '0', HOST: '127.0.0.1', STATE_URL: 'memory:', REFRESH_INTERVAL: '1', REPLICA_TIMEOUT: '1' },
    ...{ IPS_FILE: join(cwd, 'ips.txt'), PROXY_RATELIMIT_REQS_PER_MIN: '0', READ_RATELIMIT_REQS_PER_MIN: '0' },
    ...{ DRAIN_TIMEOUT: '0', ...env },
  }
  const settings = loadSettings({ environment, workingDirectory: cwd, packageRoot: cwd, isTerminal: false })
  const overrides = { ledger, followPeriodSeconds: 0.2 }
  hearEventsFrom(address, ledger.coordination.membership)
  const gateway = await leavingFrom.run(address, () => start(settings, logger, overrides))
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= gateway.stop())
  t.after(async () => {
    // Nothing of it is to wait for jobs that go on.
    await ledger.close()
    await stop()
  })
  const url = `http://127.0.0.1:${gateway.port}`
  const isReady = async (): Promise<boolean> => {
    const { healthy_services } = (await request(`${url}/health`)).json<{ healthy_services: string }>()
    return Number(healthy_services.split('/')[0]) >= nodes.length
  }
  await eventually(isReady, { what: 'healthy nodes' })
  return { url, ledger, stop }
}

/** What a gateway does about events of the hub leaves from its own address, too. */
function hearEventsFrom(address: string, membership: Membership): void {
  const emit = membership.emit.bind(membership) as (...given: unknown[]) => boolean
  membership.emit = (...given: unknown[]) => leavingFrom.run(address, () => emit(...given))
}

/** The same ledger with some of its members replaced. */
export function withChanges<L extends Ledger>(ledger: L, changes: Partial<L>): L {
  const changed: L = new Proxy(ledger, {
    get(target, name) {
      if (Object.hasOwn(changes, name)) return changes[name as keyof L]
      if (name === 'shared') return changed
      const member = target[name as keyof L]
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
  return changed
}
