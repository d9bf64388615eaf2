/** A node and a service in one, on a port of its own, that now and then answers as nobody should. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { containerOf, infoText } from '../kit/builders/infos.ts'
import type { Cleanup } from '../kit/wait.ts'
import { Chance } from './chance.ts'
import { hostileBytes, wellFormed, type Hostility } from './hostility.ts'
import { startRawServer, type RawRequest } from './rawServer.ts'
import { CONTAINER, MODEL } from './seeds.ts'

/** How often an answer is hostile: polls seldom, so that the backend stays in use. */
const HOSTILE_POLLS = 0.03
const HOSTILE_ANSWERS = 0.35

export class HostileBackend {
  readonly #seed: number
  #asked = 0
  port = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  async start(t: Cleanup): Promise<void> {
    this.port = await startRawServer(t, (request, socket) => this.#answer(request, socket))
  }

  #answer({ method, url, headers, body }: RawRequest, socket: Socket): Promise<void> {
    const number = Number(headers.get('x-fuzz') ?? NaN)
    // Calls of the gateway's own carry no number of a case.
    const chance = Number.isInteger(number) ? new Chance(this.#seed, number) : new Chance(this.#seed + 1, this.#asked++)
    const isPoll = method === 'GET' && !url.startsWith('/api/jobs')
    const good = goodAnswer(method, url, body, chance)
    if (chance.happens(isPoll ? HOSTILE_POLLS : HOSTILE_ANSWERS)) return write(socket, hostileBytes(good, chance))
    return write(socket, { pieces: [wellFormed(good)], pauseMs: 0, then: 'stay' })
  }
}

async function write(socket: Socket, { pieces, pauseMs, then }: Hostility): Promise<void> {
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) await sleep(pauseMs)
    if (socket.destroyed) return
    socket.write(piece, 'latin1')
  }
  if (then === 'reset') socket.resetAndDestroy()
  else if (then === 'close') socket.destroySoon()
}

function goodAnswer(method: string, url: string, body: string, chance: Chance): string {
  const path = url.split('?')[0]!
  if (path === '/info') return INFO
  if (path === '/health') return '{"status":"healthy"}'
  if (path === '/resources') return JSON.stringify({ [CONTAINER]: { compute_capability: [], supported: true } })
  if (path === '/v1/models') return JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model' }] })
  if (path === '/api/jobs' && method === 'GET') return JSON.stringify(jobsFor(url, chance))
  if (path === '/api/jobs/batch') return batchAnswer(body, chance)
  if (path === '/api/jobs/stream') return `${newId(chance)}\nsome output of the container`
  if (path === '/api/jobs') return JSON.stringify(body.includes('"subscription"') ? {} : { id: newId(chance) })
  if (path === '/api/status') return '{}'
  return JSON.stringify({ id: 'x', object: 'chat.completion', model: MODEL, usage: { prompt_tokens: 1 } })
}

const INFO = infoText({ containers: [containerOf({ id: CONTAINER })], chain: { enabled: true, address: '0x0' } })

function newId(chance: Chance): string {
  return `${chance.below(1e9)}-${chance.below(1e9)}`
}

function jobsFor(url: string, chance: Chance): object[] {
  return new URLSearchParams(url.split('?')[1]).getAll('id').map((id) => {
    const status = chance.of(['running', 'success', 'success', 'failed'])
    return { id, status, result: status === 'running' ? null : { container: CONTAINER, output: { echo: 'x' } } }
  })
}

/** An id for each job. Numbers such as Python's `NaN` are no JSON to this process. */
function batchAnswer(body: string, chance: Chance): string {
  const items: unknown = JSON.parse(body.replace(/-?\b(?:NaN|Infinity)\b/g, '0'))
  const answers = (Array.isArray(items) ? items : []).map((item: object) =>
    'subscription' in item ? {} : { id: newId(chance) },
  )
  return JSON.stringify(answers)
}
