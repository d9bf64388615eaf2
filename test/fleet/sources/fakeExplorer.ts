/** A Node Explorer that says what a test wants, on a real socket. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { within } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

export interface ExplorerAnswer {
  status?: number
  headers?: Record<string, string>
  /** An object is written as JSON. */
  body?: string | object | null
}

export class FakeExplorer {
  /** Path and query of each request so far. */
  readonly requests: string[] = []
  readonly #server = createServer((request, response) => {
    this.requests.push(request.url ?? '')
    response.once('close', () => this.#closed())
    this.#listener(request, response)
  })
  #listener: RequestListener = (_request, response) => response.end('{"data":[]}')
  #waiting: (() => void)[] = []

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** From now on it answers so. */
  says({ status = 200, headers = {}, body = '' }: ExplorerAnswer): void {
    this.does((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  }

  /** From now on it lists these nodes. */
  lists(...entries: unknown[]): void {
    this.says({ body: { data: entries } })
  }

  does(listener: RequestListener): void {
    this.#listener = listener
  }

  /** Resolves when so many further answers are over. After two, the first is known to have been digested. */
  async answered(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const next = new Promise<void>((resolve) => this.#waiting.push(resolve))
      await within(next, 20_000, () => 'a question to the explorer')
    }
  }

  #closed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resume of waiting) resume()
  }
}

/** Starts one, closed after the test. */
export async function startExplorer(t: Cleanup): Promise<FakeExplorer> {
  const explorer = new FakeExplorer()
  await explorer.listen()
  t.after(() => explorer.close())
  return explorer
}
