import type { ServerResponse } from 'node:http'
import type { Answer } from './answer.ts'
import { headersForClient } from './headers.ts'

/** Larger answers are not worth a copy. */
const MOST_JOINED_BYTES = 4096

/**
 * Sends a collected answer; a client that has left gets nothing, and nothing is wrong with that.
 *
 * @param routing why the node was chosen, where answers tell: see `Lease.routing`
 */
export function writeAnswer(res: ServerResponse, answer: Answer, nodeName: string | undefined, routing?: string): void {
  if (res.headersSent || res.destroyed) return
  const headers = headersForClient(answer.headers, res)
  if (nodeName !== undefined) headers['x-infernet-node'] = nodeName
  if (routing !== undefined) headers['x-routing-reason'] = routing
  headers['content-length'] = String(answer.body.length)
  res.writeHead(answer.status, headers)
  // As a string it joins the head, and both leave in one write. Latin-1 keeps every byte.
  if (answer.body.length <= MOST_JOINED_BYTES) res.end(answer.body.toString('latin1'), 'latin1')
  else res.end(answer.body)
}
