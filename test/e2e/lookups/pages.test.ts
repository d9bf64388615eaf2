/** Walking through `/api/v1/ips` page by page. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { infoText } from '../../kit/builders/infos.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { serve } from '../../kit/serve.ts'
import { eventually } from '../../kit/wait.ts'

const NODES = 11
const WALKS = 10
const file = { after }
const host = await serve(file, (_incoming, response) => void response.end(infoText()))
const nodes = Array.from({ length: NODES }, (_, n) => `http://${host}/${n}`)

async function pageOf({ url }: Gateway, query: string, localAddress = '127.0.0.1'): Promise<string[]> {
  const answer = await request(`${url}/api/v1/ips?container=echo&${query}`, { localAddress })
  assert.equal(answer.status, 200, answer.text)
  return answer.json<string[]>()
}

/** A walk in pages of three; between them others look up, which moves the order. */
async function walk(gateway: Gateway): Promise<string[]> {
  const found: string[] = []
  for (let offset = 0; ; offset += 3) {
    const page = await pageOf(gateway, `n=3&offset=${offset}`)
    if (page.length === 0) return found
    found.push(...page)
    for (let n = 0; n < 4; n++) await pageOf(gateway, 'n=1', '127.0.0.2')
  }
}

test('a walk shows every node once, in the order of its first page, whatever others ask meanwhile', async () => {
  const gateway = await startGateway(file, { nodes })
  for (let n = 0; n < WALKS; n++) assert.deepEqual((await walk(gateway)).toSorted(), nodes.toSorted())
  const [all, first] = [await pageOf(gateway, 'n=20'), await pageOf(gateway, 'n=20', '127.0.0.3')]
  await pageOf(gateway, 'n=2')
  assert.deepEqual(await pageOf(gateway, 'n=20&offset=4', '127.0.0.3'), first.slice(4), 'that of its own caller')
  assert.equal(all.length, NODES)

  // A node that is taken out while somebody walks is left out, and one that is put in is at the end.
  const begun = await pageOf(gateway, 'n=3&offset=0')
  const gone = nodes.find((node) => !begun.includes(node))!
  const come = `http://${host}/new`
  await gateway.setNodes([come, ...nodes.filter((node) => node !== gone)])
  await eventually(async () => (await pageOf(gateway, 'n=20', '127.0.0.2')).includes(come), { withinMs: 20_000 })
  const rest = await pageOf(gateway, 'n=20&offset=3')
  assert.deepEqual([...begun, ...rest].toSorted(), [...nodes.filter((node) => node !== gone), come].toSorted())
  assert.equal(rest.at(-1), come)
})

test('a walk goes from one of several processes to the other', async (t) => {
  const gateway = await startGateway(t, { nodes, env: { WORKERS: '2' } })
  const areKnown = async (): Promise<boolean> => {
    const pages = await Promise.all([0, 1, 2, 3].map(() => pageOf(gateway, 'n=20', '127.0.0.2')))
    return pages.every(({ length }) => length === NODES)
  }
  await eventually(areKnown, { withinMs: 20_000 })
  for (let n = 0; n < WALKS; n++) assert.deepEqual((await walk(gateway)).toSorted(), nodes.toSorted())
})
