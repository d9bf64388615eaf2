import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { eventually, freePort } from '../../kit/wait.ts'

const isLinux = process.platform === 'linux'

test(
  'with REUSE_PORT two gateways listen on one port, and one serves on when the other ends',
  { skip: !isLinux },
  async (t) => {
    const env = { REUSE_PORT: 'true', PORT: String(await freePort()) }
    // Nobody listens there: each gateway is known by the number of backends that it lists.
    const dead = `127.0.0.1:${await freePort()}`
    const [first, second] = [await spawnGateway(t, { env }), await spawnGateway(t, { env, nodes: [dead] })]
    assert.equal(first.port, second.port)
    const listedBy = async (): Promise<string> => {
      const { text } = await request(`${first.url}/health`)
      return (JSON.parse(text) as { healthy_services: string }).healthy_services
    }
    // Each connection goes to one of them, by a hash of its ports.
    const seen = new Set<string>()
    await eventually(async () => seen.add(await listedBy()).size === 2, { withinMs: 30_000, what: 'answers of both' })
    assert.deepEqual([...seen].sort(), ['0/0', '0/1'])
    await first.stop()
    for (let n = 0; n < 20; n++) assert.equal(await listedBy(), '0/1')
  },
)

test('without REUSE_PORT on both sides the second gateway does not start', async (t) => {
  const first = await spawnGateway(t)
  const env = { REUSE_PORT: 'true', PORT: String(first.port) }
  const second = await spawnGateway(t, { env, listening: false })
  assert.equal((await second.exited).code, 1)
  assert.match(second.output, /EADDRINUSE/)
})
