import { nodeServer } from './contender.ts'

/** http-proxy-middleware on Express as it comes: what everything else is compared with. */
export const stock = nodeServer({
  name: 'http-proxy-middleware, stock',
  note: 'Express, `createProxyMiddleware` with a round-robin `router`, nothing else',
  file: new URL('stockServer.ts', import.meta.url),
})
