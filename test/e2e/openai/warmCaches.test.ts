import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { openStream } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import { askChat, chat, inFlightIs } from './support.ts'

const file = { after }
// Each first token takes long enough for differences by chance not to matter.
const options = { concurrency: 100, seconds: 0.2 }
const services = [await startFakeOpenAi(options, file), await startFakeOpenAi(options, file)]
const gateway = await gatewayForServices(
  file,
  services.map((service) => entryOf(service)),
)

type Message = readonly [role: 'user' | 'assistant', content: string]

function bodyOf(messages: readonly Message[], sim: object = {}): Record<string, unknown> {
  const text = messages.map(([role, content]) => ({ role, content }))
  return chat({ text: 'Fine.', ...sim }, { stream: true, messages: text })
}

/** A text of so many characters that no other begins like. */
function longText(name: string, characters = 20_000): string {
  return `${name} `.repeat(Math.ceil(characters / (name.length + 1)))
}

async function servedBy(messages: readonly Message[]): Promise<string> {
  const answer = await askChat(gateway, bodyOf(messages))
  assert.equal(answer.status, 200)
  return String(answer.headers['x-infernet-node'])
}

/** A chat that has its first token and is still answered. */
function open(messages: readonly Message[]): Promise<OpenStream> {
  return openStream(`${gateway.url}/v1/chat/completions`, { body: bodyOf(messages, { stallAfter: 0 }) })
}

const serviceAt = (address: unknown) => services.find((service) => service.address === address)!

async function leave(...streams: OpenStream[]): Promise<void> {
  for (const stream of streams) stream.destroy()
  for (const service of services) await inFlightIs(gateway, service, 0)
}

test('the turns of a chat go to the same service, although the other has less to do', async () => {
  const question = ['user', longText('first chat')] as const
  const home = await servedBy([question])
  const busy = await open([question, ['assistant', 'no'], ['user', 'Why?']])
  assert.equal(busy.headers['x-infernet-node'], home)
  assert.equal(await servedBy([question, ['assistant', 'Fine.'], ['user', 'And then?']]), home)
  const others = await servedBy([['user', longText('second chat')]])
  assert.notEqual(others, home)
  await leave(busy)
})

test('a client that leaves before the first token leaves nothing behind that keeps others away', async () => {
  const leaving = new AbortController()
  const huge = bodyOf([['user', longText('huge', 200_000)]], { seconds: 60 })
  const left = askChat(gateway, huge, { signal: leaving.signal })
  const seenBy = await Promise.race(
    services.map(async (service) => {
      await service.waitFor(({ body }) => body?.includes('huge') === true)
      return service
    }),
  )
  const away = seenBy.next('clientLeft')
  leaving.abort()
  await assert.rejects(left)
  await away
  await inFlightIs(gateway, seenBy, 0)
  const streams = [await open([['user', longText('third chat')]]), await open([['user', longText('fourth chat')]])]
  assert.equal(new Set(streams.map(({ headers }) => headers['x-infernet-node'])).size, 2)
  await leave(...streams)
})

test('a service that was down has no warm cache when it is back', async () => {
  const question = ['user', longText('fifth chat')] as const
  const home = await servedBy([question])
  const service = serviceAt(home)
  await service.refuse()
  const meanwhile = await servedBy([question, ['assistant', 'a'], ['user', 'b']])
  assert.notEqual(meanwhile, home)
  await service.comeBack()
  await gateway.ready(2)
  assert.equal(await servedBy([question, ['assistant', 'c'], ['user', 'd']]), meanwhile)
})
