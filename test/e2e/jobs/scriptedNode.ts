/** A node that takes every job and answers questions about jobs as a test writes it. */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { containerOf, infoText } from '../../kit/builders/infos.ts'
import { freePort } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

export interface ScriptedNode {
  readonly address: string
  /** Ids given out, oldest first. */
  readonly ids: readonly string[]
  /** The ids of each question so far, and when it came (monotonic ms). */
  readonly questions: readonly { ids: string[]; at: number }[]
}

/** Writes the whole answer to one `GET /api/jobs?id=…`. */
export type AnswerQuestion = (response: ServerResponse, ids: readonly string[], node: ScriptedNode) => void

/** Starts one that runs this container, closed after the test. */
export async function startScriptedNode(
  t: Cleanup,
  container: string,
  answer: AnswerQuestion,
  newId: () => string = randomUUID,
): Promise<ScriptedNode> {
  const ids: string[] = []
  const questions: { ids: string[]; at: number }[] = []
  const server = createServer((incoming, response) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://node')
    incoming.resume().on('end', () => {
      if (pathname === '/info') return void response.end(infoText({ containers: [containerOf({ id: container })] }))
      if (incoming.method === 'POST') {
        const id = newId()
        ids.push(id)
        if (pathname === '/api/jobs/stream') return void response.end(`${id}\noutput`)
        return void response.end(JSON.stringify(pathname === '/api/jobs/batch' ? [{ id }] : { id }))
      }
      const asked = searchParams.getAll('id')
      questions.push({ ids: asked, at: performance.now() })
      answer(response, asked, node)
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const node = { address: `127.0.0.1:${port}`, ids, questions }
  return node
}
