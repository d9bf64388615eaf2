import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { infoText } from '../../kit/builders/infos.ts'
import type { Cleanup } from '../../kit/wait.ts'

/**
 * A node and a service in one process, which listens when it is told to, so that its start takes no time. Each chat and job is told on
 * its output. One that has `hold` in it is not answered as long as the process was told to hold; one that has `poison` kills it.
 */
const BACKEND = `
  const [port, info] = process.argv.slice(1)
  let holds = false
  const ids = (body) => Array.isArray(body) ? body.map(ids) : { id: crypto.randomUUID() }
  const answer = (url, text) => {
    if (url === '/info') return info
    if (url === '/v1/models') return '{"data":[{"id":"small-model"}]}'
    if (url === '/metrics') return ''
    if (url.startsWith('/api/jobs?')) return '[]'
    if (url === '/api/jobs/stream') return crypto.randomUUID() + '\\n'
    return JSON.stringify(ids(JSON.parse(text)))
  }
  const server = require('node:http').createServer(async (incoming, response) => {
    let text = ''
    for await (const chunk of incoming) text += chunk
    if (text !== '') require('node:fs').writeSync(1, text + '\\n')
    if (text.includes('poison')) process.kill(process.pid, 'SIGKILL')
    if (!holds || !text.includes('hold')) response.end(answer(incoming.url, text))
  })
  process.stdin.once('data', (how) => {
    holds = String(how).trim() === 'hold'
    server.listen(Number(port), '127.0.0.1', () => console.log('listening'))
  })
  process.stdin.on('end', () => process.exit())
`

export class BackendProcess {
  readonly port: number
  /** The bodies of all requests that came, in all its lives. */
  readonly taken: string[] = []
  #child: ChildProcess
  #lines: Interface

  constructor(t: Cleanup, port: number) {
    this.port = port
    ;[this.#child, this.#lines] = this.#spawn()
    t.after(() => this.#child.kill('SIGKILL'))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** Resolves when the process has ended that runs now. */
  async ended(): Promise<void> {
    if (this.#child.signalCode === null) await once(this.#child, 'exit')
  }

  /** Ends its process, if it has not ended; another is there that can listen at once. */
  async kill(): Promise<void> {
    const old = this.#child
    const isRunning = old.signalCode === null
    ;[this.#child, this.#lines] = this.#spawn()
    old.kill('SIGKILL')
    if (isRunning) await once(old, 'exit')
  }

  async listen(how: 'answer' | 'hold' = 'answer'): Promise<void> {
    this.#child.stdin?.write(`${how}\n`)
    await once(this.#lines, 'line')
  }

  #spawn(): [ChildProcess, Interface] {
    const args = ['-e', BACKEND, String(this.port), infoText()]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      if (line !== 'listening') this.taken.push(line)
    })
    return [child, lines]
  }
}
