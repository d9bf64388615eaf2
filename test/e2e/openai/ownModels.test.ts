import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { askChat, chat } from './support.ts'

/** No poll comes by itself after the first. */
const SELDOM = { REFRESH_INTERVAL: '3600' }
const WITHIN = { withinMs: 20_000 }

test('taking "models" out of the services file brings back the service’s own list at once', async (t) => {
  const service = await startFakeOpenAi({ models: ['of-the-service'] }, t)
  const gateway = await gatewayForServices(t, [entryOf(service, { models: ['of-the-file'] })], SELDOM)
  const ask = async (model: string): Promise<number> => (await askChat(gateway, chat({}, { model }))).status
  assert.equal(await ask('of-the-service'), 404)
  await gateway.setServices([entryOf(service)])
  await eventually(async () => (await ask('of-the-service')) === 200, WITHIN)
  assert.equal(await ask('of-the-file'), 404)
})

test('a list changed while a poll is under way is asked for again', async (t) => {
  const service = await startFakeOpenAi({ models: ['of-the-service'] }, t)
  await service.late(1, 'models', { times: 1 })
  const services = [entryOf(service, { models: ['of-the-file'], api_key: 'old' })]
  const gateway = await spawnGateway(t, { services, env: SELDOM })
  await service.waitFor('models')
  await gateway.setServices([entryOf(service, { api_key: 'new' })])
  await eventually(() => service.seen('models').at(-1)?.header('authorization') === 'Bearer new', WITHIN)
})

test('a key put right in the services file is tried at once', async (t) => {
  const service = await startFakeOpenAi({ models: ['m'], apiKey: 'right' }, t)
  const gateway = await gatewayForServices(t, [entryOf(service, { api_key: 'right' })], SELDOM)
  await gateway.setServices([entryOf(service, { api_key: 'wrong' })])
  const healthy = async (): Promise<boolean> => (await request(`${gateway.url}/health`)).status === 200
  await eventually(async () => !(await healthy()), WITHIN)
  await gateway.setServices([entryOf(service, { api_key: 'right' })])
  await eventually(healthy, WITHIN)
})

for (const status of [401, 403, 404, 405, 501]) {
  test(`a service with its own "models" that answers ${status} where others list theirs is healthy`, async (t) => {
    const service = await startFakeOpenAi({ models: ['m'] }, t)
    await service.answer(status, 'models')
    const gateway = await gatewayForServices(t, [entryOf(service, { models: ['m'] })])
    const answer = await askChat(gateway, chat({}, { model: 'm' }))
    assert.equal(answer.status, 200, answer.text)
  })
}

test('a service that answers 500 where others list theirs, or has no models in the file, is not healthy', async (t) => {
  const services = await Promise.all([startFakeOpenAi({ models: ['m'] }, t), startFakeOpenAi({ models: ['m'] }, t)])
  await services[0].answer(500, 'models')
  await services[1].answer(401, 'models')
  const entries = [entryOf(services[0], { models: ['m'] }), entryOf(services[1])]
  const gateway = await spawnGateway(t, { services: entries })
  const isDown = async (): Promise<boolean> =>
    services.every(({ address }) =>
      gateway.logs.some(({ message, ...line }) => message === 'node down' && line['node'] === address),
    )
  await eventually(isDown, WITHIN)
})
