/** What a service got, and what it answered, counts as being in its cache. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startHandService } from './support.ts'

const file = { after }
const services = await Promise.all([startHandService(file), startHandService(file)])
const gateway = await gatewayForServices(
  file,
  services.map((service) => entryOf(service, { concurrency: 1 })),
)

/** The next request at each service. */
const coming = services.map((service) => service.next())

async function take(index: number): ReturnType<(typeof services)[0]['next']> {
  const asked = await coming[index]!
  coming[index] = services[index]!.next()
  return asked
}

const LONG = 'A long answer, "quoted" and with ümlauts. '.repeat(100)
const user = { role: 'user', content: 'Tell me.' }
const said = { role: 'assistant', content: LONG }

/** Requests that were sent to a service thought to be warm. */
async function warmCount(): Promise<number> {
  const { text } = await request(`${gateway.url}/metrics`)
  const counts = [...text.matchAll(/^infernet_gateway_service_prompts_total\{.*warm="true".*\} (\d+)$/gm)]
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

/** Has both services answer the same request: each takes one at a time. */
async function askBoth(path: string, body: object, type: string, answer: string): Promise<void> {
  const asked = [post(`${gateway.url}${path}`, body), post(`${gateway.url}${path}`, body)]
  const taken = await Promise.all([take(0), take(1)])
  for (const { response } of taken) response.setHeader('Content-Type', type).end(answer)
  assert.deepEqual(
    (await Promise.all(asked)).map(({ status }) => status),
    [200, 200],
  )
}

async function askEither(path: string, body: object): Promise<void> {
  const asked = post(`${gateway.url}${path}`, body)
  const { response } = await take(await Promise.race(coming.map(async (one, index) => (await one) && index)))
  response.setHeader('Content-Type', 'application/json').end('{}')
  assert.equal((await asked).status, 200)
}

const pieces = LONG.match(/[^]{1,50}/g) ?? []
const events = (all: object[]) => all.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')

const TURNS: Record<string, { path: string; first: object; type: string; answer: string; next: object }> = {
  'a streamed chat': {
    path: '/v1/chat/completions',
    first: { stream: true, messages: [user] },
    type: 'text/event-stream',
    answer: events(pieces.map((content) => ({ choices: [{ index: 0, delta: { content } }] }))),
    next: { stream: true, messages: [user, said, user] },
  },
  'a chat in one piece': {
    path: '/chat/completions',
    first: { messages: [{ ...user, content: 'Once more.' }] },
    type: 'application/json',
    answer: JSON.stringify({ choices: [{ index: 0, message: said }] }),
    next: {
      messages: [{ ...user, content: 'Once more.' }, { ...said, content: [{ type: 'text', text: LONG }] }, user],
    },
  },
}

for (const [name, { path, first, type, answer, next }] of Object.entries(TURNS)) {
  test(`after ${name}, the next turn finds its service warm by the answer alone`, async () => {
    const before = await warmCount()
    await askBoth(path, { model: 'small-model', ...first }, type, answer)
    assert.equal(await warmCount(), before, 'the first turn is shorter than what has a number')
    await askEither(path, { model: 'small-model', ...next })
    assert.equal(await warmCount(), before + 1)
  })
}
