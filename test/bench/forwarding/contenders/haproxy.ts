import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, tempDir } from '../../../kit/wait.ts'
import { startServer, versionOf, type Contender } from './contender.ts'

export const haproxy: Contender = {
  name: 'HAProxy',
  note: 'one thread, reused connections, no log',
  version: () => versionOf('haproxy', '-v'),
  start: async (cleanups, nodes) => {
    const port = await freePort()
    const directory = await tempDir(cleanups, 'haproxy-bench-')
    const file = join(directory, 'haproxy.cfg')
    await writeFile(file, configuration(port, nodes))
    return startServer(cleanups, 'haproxy', ['-db', '-f', file], port)
  },
}

const configuration = (port: number, nodes: readonly string[]): string => `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 1s
  timeout client 75s
  timeout server 300s
frontend jobs
  bind 127.0.0.1:${port}
  default_backend nodes
backend nodes
  balance leastconn
${nodes.map((node, i) => `  server node${i} ${node}`).join('\n')}
`
