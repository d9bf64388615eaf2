/** The attacks, each by one caller at the limits that the gateway sets. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, hammer, head, HOSTILE_CONTAINER, HOSTILE_MODEL, open, posted, type Target } from './attack.ts'

const MEGABYTE = 1e6

const smallJob = JSON.stringify({ containers: [HOSTILE_CONTAINER], data: {} })
const subscription = (n: number): string =>
  JSON.stringify({
    subscription: { containers: `0x${n.toString(16).padStart(64, '0')}` },
    signature: {},
    data: {},
  })

/** 600 items are all that a minute's budget admits; the rest is refused after its body was read. */
async function batchesUnderLongHeaders(target: Target): Promise<void> {
  const body = `[${Array<string>(600).fill(smallJob).join(',')}]`
  const request = posted('/api/jobs/batch', body, [`Connection: ${'a,'.repeat(30_000)}a`])
  await hammer(target, 4, () => request)
}

async function subscriptions(target: Target): Promise<void> {
  const items = Array.from({ length: 600 }, (_, n) => subscription(n))
  const request = posted('/api/jobs/batch', `[${items.join(',')}]`)
  await hammer(target, 4, () => request)
}

async function oneSubscriptionEach(target: Target): Promise<void> {
  await hammer(target, 8, (n) => posted('/api/jobs', subscription(n)))
}

/** Bodies that are large and deep, and batches of more items than may be. */
async function largeBodies(target: Target): Promise<void> {
  const large = `{"containers":["${HOSTILE_CONTAINER}"],"data":{"a":[${'1,'.repeat(10 * MEGABYTE)}1]}}`
  const requests = [
    posted('/api/jobs', large),
    posted('/api/jobs/batch', `[${large}]`),
    posted('/v1/embeddings', large),
  ]
  await hammer(target, 2, (n) => requests[n % requests.length]!)
}

async function stalledUploads(target: Target): Promise<void> {
  await hold(target, 100, (socket) => {
    socket.write(head('POST', '/api/jobs', ['Content-Type: application/json', `Content-Length: ${9 * MEGABYTE}`]))
    socket.write(Buffer.alloc(9 * MEGABYTE - 1, ' '))
    socket.resume()
  })
}

/** Answers of 60 MB that are asked for and never read. */
async function unreadAnswers(target: Target): Promise<void> {
  const request = posted('/v1/chat/completions', JSON.stringify({ model: HOSTILE_MODEL, messages: [] }))
  await hold(target, 20, (socket) => socket.write(request))
}

/** One result of 50 MB, asked for forty times and never read. */
async function unreadResults(target: Target): Promise<void> {
  const answer = await ask(target, posted('/api/jobs', smallJob))
  const id = /"id":"([^"]+)"/.exec(answer)?.[1]
  if (id === undefined) throw new Error(`the job was refused: ${answer}`)
  const isEnded = async (): Promise<boolean> =>
    (await ask(target, head('GET', `/api/jobs?id=${id}`))).includes('"success"')
  while (!(await isEnded())) await sleep(500)
  await hold(target, 40, (socket) => socket.write(head('GET', `/api/jobs?id=${id}`)))
}

/** Another model each time, of which a node has an opinion of 4 MB. */
async function resourcesOfAnyModel(target: Target): Promise<void> {
  await hammer(target, 8, (n) => head('GET', `/resources?model_id=model-${n}`))
}

/** Jobs of a megabyte, as fast as they are taken. */
async function fillingLedger(target: Target): Promise<void> {
  const job = JSON.stringify({ containers: [HOSTILE_CONTAINER], data: { a: 'x'.repeat(MEGABYTE) } })
  await hammer(target, 4, () => posted('/api/jobs', job))
}

/** Opens so many connections, opens those again that were closed, and gives them up at the end. */
async function hold({ port, isOver, count }: Target, many: number, use: (socket: Socket) => void): Promise<void> {
  const sockets = new Set<Socket>()
  while (!isOver()) {
    while (sockets.size < many) {
      const socket = open(port)
      sockets.add(socket)
      count('opened')
      socket.on('close', () => sockets.delete(socket))
      use(socket)
    }
    await sleep(50)
  }
  for (const socket of sockets) socket.destroy()
}

export const ATTACKS: Readonly<Record<string, (target: Target) => Promise<void>>> = {
  'batches under a header of 60 kB': batchesUnderLongHeaders,
  'batches of subscriptions': subscriptions,
  'subscriptions one by one': oneSubscriptionEach,
  'bodies of 20 MB': largeBodies,
  '100 stalled uploads of 9 MB': stalledUploads,
  '20 unread answers of 60 MB': unreadAnswers,
  '40 unread reads of 50 MB': unreadResults,
  'resources of any model': resourcesOfAnyModel,
  'a ledger filled with jobs of 1 MB': fillingLedger,
}
