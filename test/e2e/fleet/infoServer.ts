/** A server that is a node as far as `/info` goes, for what the fake node does not do. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cleanup } from '../../kit/wait.ts'

/** What a node with the container `echo` says of itself; members given replace its own. */
export function infoText(members: object = {}): string {
  const info = {
    version: '1.4.0',
    containers: [{ id: 'echo', description: '', external: true, image: 'example/echo:1' }],
    pending: { offchain: 0, onchain: 0 },
    chain: { enabled: false, address: '' },
  }
  return JSON.stringify({ ...info, ...members })
}

/** Listens until the end of the test; returns `host:port`. */
export async function serve(t: Cleanup, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}
