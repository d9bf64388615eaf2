/**
 * A real Prometheus with the files of docker/ over a gateway with traffic: whether every expression of the Grafana dashboard
 * gives data, and every alert fires under its fault, but for one that would be a fault of the gateway's own
 * (PlacesIdleWhileRequestsWait). Takes three minutes, and needs `prometheus`, a Redis, and, as root, `mount`
 * for a disk that is full:
 *
 *     node_modules/.bin/node test/docker/prometheus.ts
 *
 * Only times differ from the files: one second stands for a scrape interval, two for each minute of a rule.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGateway } from '../kit/builders/gateways.ts'
import { jobOf } from '../kit/builders/jobs.ts'
import { Cleanups } from '../kit/cleanups.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'
import { spawnFakeNode, startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { spawnGateway } from '../kit/gateway.ts'
import { post, request } from '../kit/http.ts'
import { startRedis } from '../kit/redisServer.ts'
import { eventually, freePort, tempDir } from '../kit/wait.ts'
import { DOCKER } from './files.ts'

/** Seconds that stand for a minute of a rule. */
const MINUTE = 2
/** Seconds under which Grafana's `$__rate_interval` is never: four scrapes. */
const RATE_INTERVAL = '10s'
const FIRES_WITHIN_MS = 60_000

const cleanups = new Cleanups()
endOnSignal(() => cleanups.run())
try {
  process.exitCode = (await run()) ? 0 : 1
} finally {
  await cleanups.run()
}
process.exit()

async function run(): Promise<boolean> {
  const folder = await tempDir(cleanups)
  const disk = await smallDisk(join(folder, 'disk'))
  const node = await startFakeNode({ rateLimit: 0, containers: ['echo', 'other'] }, cleanups)
  const second = await startFakeNode({ rateLimit: 0, containers: ['echo'] }, cleanups)
  const mortal = await spawnFakeNode({ rateLimit: 0, containers: ['mortal'] }, cleanups)
  const heir = await startFakeNode({ rateLimit: 0, containers: ['mortal'] }, cleanups)
  const service = await startFakeOpenAi({ models: ['m1', 'm2', 'shared'] }, cleanups)
  const sibling = await startFakeOpenAi({ models: ['shared'] }, cleanups)
  const narrow = await startFakeOpenAi({ models: ['narrow'] }, cleanups)
  await narrow.late(0.2, 'chat')
  const services = [
    { name: 'chat', url: service.url },
    { name: 'sibling', url: sibling.url },
    { name: 'narrow', url: narrow.url, concurrency: 1 },
  ]
  const nodes = [node, second, mortal, heir]
  const gateway = await startGateway(cleanups, {
    nodes,
    services,
    env: {
      ...{ STATE_URL: `sqlite:${disk}/gateway.db`, STATE_MAX_BYTES: '600kb', MAX_BODY: '200kb', MEMORY_BUDGET: '1mb' },
      ...{ LOG_LEVEL: 'info', MAX_JOBS_PER_CALLER: '0', PROXY_TIMEOUT: '5', QUEUE_SIZE: '20' },
    },
  })
  const redis = await startRedis(cleanups)
  const replica = await spawnGateway(cleanups, { env: { STATE_URL: redis.url(), REPLICA_TIMEOUT: '1' } })
  const prometheus = await startPrometheus(folder, [gateway.port, replica.port])

  const submit = (data: object, containers = ['echo']): Promise<unknown> =>
    post(`${gateway.url}/api/jobs`, jobOf(data, containers)).catch(() => undefined)
  const usage = { stream: true, stream_options: { include_usage: true }, sim: { cached: 5 } }
  const chat = (model: string, localAddress = '127.0.0.1'): Promise<unknown> => {
    const body = { model, messages: [{ role: 'user', content: 'hello' }], ...usage }
    return post(`${gateway.url}/v1/chat/completions`, body, { localAddress })
  }
  /** Callers that each ask again and again for what only one of them can have at a time. */
  const crowd = (callers: number): { stop(): void } => {
    const each = Array.from({ length: callers }, (_, n) => repeat(() => chat('narrow', `127.0.2.${n + 1}`)))
    return { stop: () => each.forEach((one) => one.stop()) }
  }

  console.log('\n== traffic')
  let isRunning = true
  const traffic = (async (): Promise<void> => {
    for (let n = 0; isRunning; n++) {
      await Promise.all([submit({ n }), submit({ n }, ['echo', 'other']), chat('m1'), chat('m2'), chat('shared')])
      await post(`${gateway.url}/api/jobs`, 'no JSON')
      if (n % 10 === 0) await submit({ fail: 'told to' })
      if (n % 10 === 5) await node.pushBack('submit', { times: 1 })
      await sleep(100)
    }
  })()
  const few = crowd(6)
  await sleep(15_000)
  const board = await prometheus.boardIsShown()
  few.stop()

  const results = [board]
  const instance = `127.0.0.1:${gateway.port}`
  const check = async (name: string, fault: () => unknown, over: () => unknown = () => undefined): Promise<void> => {
    await fault()
    const labels = name === 'ReplicaUnsure' ? {} : name.startsWith('Backend') ? { node: node.address } : { instance }
    results.push(await prometheus.fires(name, labels))
    await over()
  }

  console.log('\n== alerts')
  await check(
    'BackendDown',
    () => node.refuse(),
    () => node.comeBack(),
  )
  await check(
    'ManyErrors',
    () => service.answer(500, 'chat'),
    () => service.behave(),
  )
  const ejected = repeat(() => submit({}, ['other']))
  await check(
    'BackendEjected',
    () => node.break('submit'),
    () => node.behave(),
  )
  ejected.stop()
  const failing = repeat(() => Promise.all(Array.from({ length: 8 }, () => submit({ fail: 'told to' }))))
  await check('JobsFail', () => undefined)
  failing.stop()
  await check('JobsRunAgain', async () => {
    await heir.refuse()
    await sleep(5000)
    await Promise.all(Array.from({ length: 15 }, () => submit({ seconds: 60 }, ['mortal'])))
    await heir.comeBack()
    await mortal.kill()
  })
  const many = crowd(40)
  await check('QueueFillsUp', () => undefined)
  await check('QueueRefuses', () => undefined)
  many.stop()
  const filling = repeat(() => Promise.all(Array.from({ length: 8 }, () => submit({ output: 'x'.repeat(30_000) }))))
  await check('LedgerFull', () => undefined)
  filling.stop()
  const words = { model: 'm1', messages: [{ role: 'user', content: 'x'.repeat(190_000) }] }
  const big = repeat(() =>
    Promise.all(
      Array.from({ length: 16 }, (_, n) =>
        post(`${gateway.url}/v1/chat/completions`, words, { localAddress: `127.0.1.${n + 1}` }),
      ),
    ),
  )
  await check(
    'MemoryBudgetSpent',
    () => service.late(1, 'chat'),
    () => service.behave(),
  )
  big.stop()
  await check(
    'FileNotRead',
    () => writeFile(join(gateway.cwd, 'services.json'), '{}'),
    () => gateway.setServices(services),
  )
  await check(
    'BadLines',
    () =>
      gateway.setNodes(
        nodes.map(({ address }) => address),
        ['no address at all:x'],
      ),
    () => gateway.setNodes(nodes.map(({ address }) => address)),
  )
  const stalls = repeat(async () => {
    gateway.signal('SIGSTOP')
    await sleep(300)
    gateway.signal('SIGCONT')
    await sleep(500)
  })
  await check('EventLoopStalls', () => undefined)
  stalls.stop()
  await check('ReplicaUnsure', () => redis.kill())
  await check('LedgerDiskFull', () => fill(disk, 0.95))
  await check('LedgerNotWritable', () => fill(disk, 1))
  await check('LedgerChangesHeld', () => undefined)
  isRunning = false
  await traffic
  await rm(join(disk, 'filler'), { force: true })
  await check('NoHealthyBackend', () => gateway.setNodes([]).then(() => gateway.setServices([])))
  await check('GatewayDown', () => gateway.kill())
  return results.every(Boolean)
}

/** Does something over and over, and one after the other, until it is stopped. */
function repeat(what: () => Promise<unknown>): { stop(): void } {
  let isRunning = true
  void (async () => {
    while (isRunning) {
      await what().catch(() => undefined)
      await sleep(200)
    }
  })()
  return { stop: () => void (isRunning = false) }
}

/** A disk of 16 MB; where none can be made, a folder. */
async function smallDisk(path: string): Promise<string> {
  await mkdir(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path])
  cleanups.after(() => execFileSync('umount', ['-l', path]))
  return path
}

/** Fills a disk up to this part of it. */
function fill(disk: string, part: number): void {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${disk}/filler`, 'bs=64k', `count=${Math.ceil(256 * part)}`], {
      stdio: 'ignore',
    })
  } catch {
    // It is full.
  }
}

interface Prometheus {
  /** Whether every expression of the dashboard gives data. */
  boardIsShown(): Promise<boolean>
  /** Whether an alert with these labels fires soon. */
  fires(alert: string, labels: Labels): Promise<boolean>
}

interface Board {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

interface Alerts {
  readonly data: { readonly alerts: readonly Alert[] }
}

type Labels = Readonly<Record<string, string>>

interface Alert {
  readonly state: string
  readonly labels: Labels & { readonly alertname: string }
  readonly annotations: { readonly summary: string }
}

async function startPrometheus(folder: string, ports: readonly number[]): Promise<Prometheus> {
  const [config, rules] = await Promise.all(
    ['prometheus.yml', 'alerts.yml'].map((name) => readFile(DOCKER + name, 'utf8')),
  )
  const targets = ports.map((port) => `'127.0.0.1:${port}'`).join(', ')
  const ownConfig = config!.replaceAll('15s', '1s').replace("'gateway:4000'", targets)
  const ownRules = rules!
    .replace(/\[(\d+)m\]/g, (_, minutes: string) => `[${Number(minutes) * MINUTE}s]`)
    .replace(/for: (\d+)m/g, (_, minutes: string) => `for: ${Number(minutes) * MINUTE}s`)
  await writeFile(join(folder, 'prometheus.yml'), ownConfig)
  await writeFile(join(folder, 'alerts.yml'), ownRules)
  const port = await freePort()
  const child = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/prometheus`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  )
  cleanups.after(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null) await once(child, 'close')
  })
  const api = `http://127.0.0.1:${port}/api/v1`
  const isReady = (): Promise<boolean> =>
    request(`http://127.0.0.1:${port}/-/ready`).then(
      ({ status }) => status === 200,
      () => false,
    )
  await eventually(isReady, { withinMs: 30_000 })
  return { boardIsShown: () => boardIsShown(api), fires: (...alert) => fires(api, ...alert) }
}

async function boardIsShown(api: string): Promise<boolean> {
  const board = JSON.parse(await readFile(`${DOCKER}grafana/dashboards/gateway.json`, 'utf8')) as Board
  let isWhole = true
  for (const { title, targets = [] } of board.panels) {
    for (const { expr } of targets) {
      const query = encodeURIComponent(expr.replaceAll('$__rate_interval', RATE_INTERVAL))
      const { data } = (await request(`${api}/query?query=${query}`)).json<{
        data?: { result: { value: [number, string] }[] }
      }>()
      const values = (data?.result ?? []).map(({ value }) => Number(value[1]))
      const isShown = values.some((value) => !Number.isNaN(value))
      isWhole &&= isShown
      console.log(`${isShown ? 'ok     ' : 'NO DATA'} ${title}: ${expr}: ${values.slice(0, 3).join(', ')}`)
    }
  }
  return isWhole
}

async function fires(api: string, name: string, labels: Labels): Promise<boolean> {
  const isIt = (alert: Alert): boolean =>
    alert.state === 'firing' &&
    Object.entries({ ...labels, alertname: name }).every(([label, value]) => alert.labels[label] === value)
  let alert: Alert | undefined
  try {
    alert = await eventually(async () => (await request(`${api}/alerts`)).json<Alerts>().data.alerts.find(isIt), {
      withinMs: FIRES_WITHIN_MS,
      everyMs: 500,
    })
  } catch {
    // It does not fire.
  }
  console.log(alert ? `fires   ${name}: ${alert.annotations.summary}` : `SILENT  ${name}`)
  return alert !== undefined
}
