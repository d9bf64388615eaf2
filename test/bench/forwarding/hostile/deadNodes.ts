import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cleanups } from '../../../kit/cleanups.ts'

/** A Node Explorer that lists nodes at loopback addresses where nobody listens. Returns its URL. */
export async function explorerOfDeadNodes(cleanups: Cleanups, many: number): Promise<string> {
  const data = Array.from({ length: many }, (_, i) => ({
    ip: `127.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    port: 9,
  }))
  const body = JSON.stringify({ data })
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
