import { fileURLToPath } from 'node:url'
import { freePort } from '../../../kit/wait.ts'
import { startServer, type Contender } from './contender.ts'

const SERVER = fileURLToPath(new URL('bareServer.ts', import.meta.url))

/** The parts that the gateway is built from, without the gateway: its cost cannot be less. */
export const bare: Contender = {
  name: 'bare stack',
  note: 'Express and http-proxy-middleware with undici as its transport, nothing else: the floor of the gateway’s cost',
  version: () => 'as installed',
  start: async (cleanups, nodes) => {
    const port = await freePort()
    const env = { NODE_ENV: 'production' }
    return startServer(cleanups, process.execPath, [SERVER, String(port), ...nodes], port, env)
  },
}
