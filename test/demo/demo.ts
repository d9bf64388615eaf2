/**
 * The product on one screen: three simulated nodes of different speed behind one gateway, some jobs and a stream through it.
 * `npm run demo` stays up to be tried; `npm run demo -- --once` ends after the run.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endOnSignal } from '../kit/endOnSignal.ts'
import { startFakeNode, type FakeNode } from '../kit/fakeNode/index.ts'
import { startGateway } from './gatewayProcess.ts'
import { Screen } from './screen.ts'

const JOBS = 12
const SPEEDS = [
  { name: 'fast', seconds: 0.4, concurrency: 3 },
  { name: 'medium', seconds: 0.9, concurrency: 2 },
  { name: 'slow', seconds: 2, concurrency: 1 },
]
const WORDS = 'Each piece of this text was written by a node and reached you the moment it was there.'.split(' ')
const MAX_WAIT_MS = 60_000

interface Job {
  readonly id: string
  readonly node: string
  readonly sentAt: number
  status: string
  endedAt?: number
  result?: { output?: { echo?: { prompt?: string } } }
}

const screen = new Screen()
const once = process.argv.includes('--once')
let isEnding = false

async function main(): Promise<void> {
  const cwd = await mkdtemp(join(tmpdir(), 'infernet-gateway-demo-'))
  const nodes: FakeNode[] = []
  for (const { seconds, concurrency } of SPEEDS) {
    nodes.push(await startFakeNode({ containers: ['llm', 'summary'], speed: seconds, concurrency, rateLimit: 0 }))
  }
  const list = nodes.map((node, i) => `${node.address} concurrency=${SPEEDS[i]?.concurrency}`)
  await writeFile(join(cwd, 'ips.txt'), `${list.join('\n')}\n`)
  const gateway = await startGateway(cwd, {
    ...{ PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'json', LOG_LEVEL: 'info' },
    ...{ RATELIMIT_REQS_PER_MIN: '0', REFRESH_INTERVAL: '2' },
  })
  const end = async (): Promise<void> => {
    await gateway.stop()
    await Promise.all(nodes.map((node) => node.stop()))
    await rm(cwd, { recursive: true, force: true })
  }
  endOnSignal(() => {
    isEnding = true
    screen.line()
    return end()
  })
  try {
    await show(gateway.url, nodes)
  } catch (error) {
    // What is shown breaks where a signal ends the gateway under it.
    if (isEnding) return
    await end()
    throw error
  }
  if (once) return end()
  screen.line()
  screen.line('The fleet and the gateway stay up. Ctrl-C ends them.')
}

async function show(url: string, nodes: readonly FakeNode[]): Promise<void> {
  screen.line(screen.paint('bold', 'Infernet Gateway') + ' — one address for a fleet of Infernet nodes')
  await ready(url, nodes.length)
  await showFleet(url, nodes)
  await showJobs(url, nodes)
  await showStream(url, nodes)
  showUrls(url)
}

async function ready(url: string, count: number): Promise<void> {
  for (const deadline = Date.now() + MAX_WAIT_MS; Date.now() < deadline; await sleep(50)) {
    const health = (await (await fetch(`${url}/health`)).json()) as { healthy_services: string }
    if (health.healthy_services === `${count}/${count}`) return
  }
  throw new Error('the nodes did not become healthy')
}

/** `127.0.0.1:4101 (fast)`. */
function named(address: string, nodes: readonly FakeNode[]): string {
  return `${address} (${SPEEDS[nodes.findIndex((node) => node.address === address)]?.name ?? 'unknown'})`
}

async function showFleet(url: string, nodes: readonly FakeNode[]): Promise<void> {
  screen.heading('The fleet')
  const { services } = (await (await fetch(`${url}/stats`)).json()) as {
    services: { name: string; healthy: boolean; containers: string[] }[]
  }
  services.forEach((service, i) => {
    const { seconds = 0, concurrency = 0 } = SPEEDS[i] ?? {}
    const state = service.healthy ? screen.paint('green', 'healthy') : screen.paint('red', 'unhealthy')
    const pace = `${seconds.toFixed(1)} s a job, ${concurrency} at once`
    screen.line(`  ${named(service.name, nodes).padEnd(26)} ${state}  ${pace}, runs ${service.containers.join(', ')}`)
  })
  screen.line(`  ${url.slice(7).padEnd(26)} ${screen.paint('cyan', 'the gateway')}: all of the above as one node`)
}

async function showJobs(url: string, nodes: readonly FakeNode[]): Promise<void> {
  screen.heading(`${JOBS} jobs, sent to the gateway`)
  const jobs: Job[] = []
  for (let i = 1; i <= JOBS; i++) {
    jobs.push(await submit(url, `question ${i}`))
    screen.redraw(jobLines(jobs, nodes))
    await sleep(60)
  }
  const query = jobs.map((job) => `id=${job.id}`).join('&')
  const deadline = Date.now() + MAX_WAIT_MS
  while (jobs.some((job) => job.status === 'running')) {
    if (Date.now() > deadline) throw new Error('the jobs did not end in time')
    const told = (await (await fetch(`${url}/api/jobs?${query}`)).json()) as (Pick<Job, 'id' | 'result'> & {
      status: string
    })[]
    for (const { id, status, result } of told) {
      const job = jobs.find((one) => one.id === id)
      if (!job || job.status === status) continue
      Object.assign(job, { status, result, endedAt: Date.now() })
    }
    screen.redraw(jobLines(jobs, nodes))
    await sleep(100)
  }
  screen.keep()
  screen.line(`  one call read all ${JOBS} results, from ${new Set(jobs.map((job) => job.node)).size} nodes`)
}

async function submit(url: string, prompt: string): Promise<Job> {
  const answer = await fetch(`${url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ containers: ['llm'], data: { prompt } }),
  })
  if (answer.status !== 200) throw new Error(`a job was refused: ${answer.status} ${await answer.text()}`)
  const { id } = (await answer.json()) as { id: string }
  return { id, node: answer.headers.get('x-infernet-node') ?? '', sentAt: Date.now(), status: 'running' }
}

function jobLines(jobs: readonly Job[], nodes: readonly FakeNode[]): string[] {
  return jobs.map((job) => {
    const seconds = ((job.endedAt ?? Date.now()) - job.sentAt) / 1000
    const speed = SPEEDS[nodes.findIndex((node) => node.address === job.node)]?.seconds ?? 1
    const isDone = job.status !== 'running'
    const state = isDone ? screen.paint(job.status === 'success' ? 'green' : 'red', job.status) : 'running'
    const bar = screen.bar(isDone ? 1 : Math.min(0.95, seconds / (speed * 2)), 12)
    const answer = job.result?.output?.echo?.prompt
    const outcome = answer === undefined ? '' : `→ echo of "${answer}"`
    return `  ${job.id.slice(0, 8)}  ${named(job.node, nodes).padEnd(25)} ${bar} ${seconds.toFixed(1)} s ${state} ${outcome}`
  })
}

async function showStream(url: string, nodes: readonly FakeNode[]): Promise<void> {
  screen.heading('A stream')
  const answer = await fetch(`${url}/api/jobs/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ containers: ['llm'], data: { pieces: WORDS.map((word) => `${word} `), pieceMs: 60 } }),
  })
  if (answer.status !== 200 || !answer.body) throw new Error(`the stream was refused: ${answer.status}`)
  let isFirst = true
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    if (isFirst) {
      const [id = '', ...rest] = piece.split('\n')
      screen.line(`  ${id.slice(0, 8)}  on ${named(answer.headers.get('x-infernet-node') ?? '', nodes)}`)
      screen.write(`  ${rest.join('\n')}`)
      isFirst = false
    } else {
      screen.write(piece)
    }
  }
  screen.line()
}

function showUrls(url: string): void {
  screen.heading('To try')
  const json = `-H 'Content-Type: application/json'`
  const body = `-d '{"containers":["llm"],"data":{"prompt":"hello"}}'`
  screen.line(`  curl ${url}/health`)
  screen.line(`  curl ${url}/stats`)
  screen.line(`  curl '${url}/api/v1/ips?container=llm'`)
  screen.line(`  curl ${url}/api/jobs ${json} ${body}`)
  screen.line(`  curl ${url}/api/jobs`)
  screen.line(`  curl -N ${url}/api/jobs/stream ${json} ${body}`)
  screen.line(`  curl ${url}/metrics`)
}

await main()
