import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, tempDir } from '../../../kit/wait.ts'
import { startServer, versionOf, type Contender } from './contender.ts'

export const caddy: Contender = {
  name: 'Caddy',
  note: '`reverse_proxy` as it comes, no log',
  version: () => versionOf('caddy', 'version'),
  start: async (cleanups, nodes) => {
    const port = await freePort()
    const directory = await tempDir(cleanups, 'caddy-bench-')
    const file = join(directory, 'Caddyfile')
    await writeFile(file, configuration(port, nodes))
    // It keeps files of its own in these folders.
    const env = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory }
    return startServer(cleanups, 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], port, env)
  },
}

const configuration = (port: number, nodes: readonly string[]): string => `
{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://127.0.0.1:${port} {
	reverse_proxy ${nodes.join(' ')}
}
`
