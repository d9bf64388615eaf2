import { nodeServer } from './contender.ts'

/** The parts that the gateway is built from, without the gateway: its cost cannot be less. */
export const bare = nodeServer({
  name: 'bare stack',
  note: 'Express and http-proxy-middleware with undici as its transport, nothing else: the floor of the gateway’s cost',
  file: new URL('bareServer.ts', import.meta.url),
})
