import { fileURLToPath } from 'node:url'
import { freePort } from '../../../kit/wait.ts'
import { startServer, type Contender } from './contender.ts'

const SERVER = fileURLToPath(new URL('stockServer.ts', import.meta.url))

/** http-proxy-middleware on Express as it comes: what everything else is compared with. */
export const stock: Contender = {
  name: 'http-proxy-middleware, stock',
  note: 'Express, `createProxyMiddleware` with a round-robin `router`, nothing else',
  version: () => 'as installed',
  start: async (cleanups, nodes) => {
    const port = await freePort()
    const env = { NODE_ENV: 'production' }
    return startServer(cleanups, process.execPath, [SERVER, String(port), ...nodes], port, env)
  },
}
