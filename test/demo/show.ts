/** What the demo shows: the fleet, jobs that spread over it, a stream, a chat, and what to try next. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Screen } from './screen.ts'

/** The simulated nodes, in the order of their addresses. */
export const SPEEDS = [
  { name: 'fast', seconds: 0.4, concurrency: 3 },
  { name: 'medium', seconds: 0.9, concurrency: 2 },
  { name: 'slow', seconds: 2, concurrency: 1 },
]

const JOBS = 12
const WORDS = 'Each piece of this text was written by a node and reached you the moment it was there.'.split(' ')
const MAX_WAIT_MS = 60_000
const JSON_BODY = { 'content-type': 'application/json' }

interface Job {
  readonly id: string
  readonly node: string
  readonly sentAt: number
  status: string
  endedAt?: number
  result?: { output?: { echo?: { prompt?: string } } }
}

/** Shows it all for a gateway that has just started in front of these nodes, given by address, and one service. Rejects where something fails. */
export async function show(screen: Screen, url: string, nodes: readonly string[]): Promise<void> {
  await ready(url, nodes.length + 1)
  await showFleet(screen, url, nodes)
  await showJobs(screen, url, nodes)
  await showStream(screen, url, nodes)
  await showChat(screen, url)
  showUrls(screen, url)
}

async function ready(url: string, count: number): Promise<void> {
  for (const deadline = Date.now() + MAX_WAIT_MS; Date.now() < deadline; await sleep(50)) {
    const health = (await (await fetch(`${url}/health`)).json()) as { healthy_services: string }
    if (health.healthy_services === `${count}/${count}`) return
  }
  throw new Error('the nodes did not become healthy')
}

/** `127.0.0.1:4101 (fast)`. */
function named(address: string, nodes: readonly string[]): string {
  return `${address} (${SPEEDS[nodes.indexOf(address)]?.name ?? 'unknown'})`
}

async function showFleet(screen: Screen, url: string, nodes: readonly string[]): Promise<void> {
  screen.heading('The fleet')
  const { services } = (await (await fetch(`${url}/stats`)).json()) as {
    services: { name: string; healthy: boolean; containers?: string[]; models?: string[] }[]
  }
  for (const { name, healthy, containers, models = [] } of services) {
    const state = healthy ? screen.paint('green', 'healthy') : screen.paint('red', 'unhealthy')
    const { seconds = 0, concurrency = 0 } = SPEEDS[nodes.indexOf(name)] ?? {}
    const ability = containers
      ? `${seconds.toFixed(1)} s a job, ${concurrency} at once: ${containers.join(', ')}`
      : `OpenAI's API: ${models.join(', ')}`
    screen.line(`  ${(containers ? named(name, nodes) : name).padEnd(25)} ${state}  ${ability}`)
  }
  screen.line(`  ${url.slice(7).padEnd(25)} ${screen.paint('cyan', 'the gateway')}: all of the above at one address`)
}

async function showJobs(screen: Screen, url: string, nodes: readonly string[]): Promise<void> {
  screen.heading(`${JOBS} jobs, sent to the gateway`)
  const jobs: Job[] = []
  for (let i = 1; i <= JOBS; i++) {
    jobs.push(await submit(url, `question ${i}`))
    screen.redraw(jobLines(screen, jobs, nodes))
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
    screen.redraw(jobLines(screen, jobs, nodes))
    await sleep(100)
  }
  screen.keep()
  screen.line(`  one call read all ${JOBS} results, from ${new Set(jobs.map((job) => job.node)).size} nodes`)
}

async function submit(url: string, prompt: string): Promise<Job> {
  const answer = await fetch(`${url}/api/jobs`, {
    method: 'POST',
    headers: JSON_BODY,
    body: JSON.stringify({ containers: ['llm'], data: { prompt } }),
  })
  if (answer.status !== 200) throw new Error(`a job was refused: ${answer.status} ${await answer.text()}`)
  const { id } = (await answer.json()) as { id: string }
  return { id, node: answer.headers.get('x-infernet-node') ?? '', sentAt: Date.now(), status: 'running' }
}

function jobLines(screen: Screen, jobs: readonly Job[], nodes: readonly string[]): string[] {
  return jobs.map((job) => {
    const seconds = ((job.endedAt ?? Date.now()) - job.sentAt) / 1000
    const speed = SPEEDS[nodes.indexOf(job.node)]?.seconds ?? 1
    const isDone = job.status !== 'running'
    const state = isDone ? screen.paint(job.status === 'success' ? 'green' : 'red', job.status) : 'running'
    const bar = screen.bar(isDone ? 1 : Math.min(0.95, seconds / (speed * 2)), 8)
    const answer = job.result?.output?.echo?.prompt
    const outcome = answer === undefined ? '' : `→ "${answer}"`
    return `  ${job.id.slice(0, 8)}  ${named(job.node, nodes).padEnd(25)} ${bar} ${seconds.toFixed(1)} s ${state} ${outcome}`
  })
}

async function showStream(screen: Screen, url: string, nodes: readonly string[]): Promise<void> {
  screen.heading('A stream')
  const answer = await fetch(`${url}/api/jobs/stream`, {
    method: 'POST',
    headers: JSON_BODY,
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

async function showChat(screen: Screen, url: string): Promise<void> {
  screen.heading('A chat')
  const messages = [{ role: 'user', content: 'hello' }]
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: JSON_BODY,
    body: JSON.stringify({ model: 'small-model', messages }),
  })
  if (answer.status !== 200) throw new Error(`the chat was refused: ${answer.status} ${await answer.text()}`)
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] }
  screen.line(`  small-model on ${answer.headers.get('x-infernet-node') ?? ''}: ${choices[0]?.message.content ?? ''}`)
}

function showUrls(screen: Screen, url: string): void {
  screen.heading('To try')
  const json = `-H 'Content-Type: application/json'`
  const job = `-d '{"containers":["llm"],"data":{"prompt":"hello"}}'`
  const chat = `-d '{"model":"small-model","messages":[{"role":"user","content":"hello"}]}'`
  for (const command of [
    `curl ${url}/health`,
    `curl '${url}/api/v1/ips?container=llm'`,
    `curl ${url}/api/jobs ${json} ${job}`,
    `curl ${url}/api/jobs`,
    `curl -N ${url}/api/jobs/stream ${json} ${job}`,
    `curl ${url}/v1/chat/completions ${json} ${chat}`,
    `curl ${url}/metrics`,
  ]) {
    screen.line(`  ${command}`)
  }
  screen.heading('In a browser')
  screen.line(`  ${url}/dashboard`)
}
