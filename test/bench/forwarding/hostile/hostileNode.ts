/**
 * A node and a service whose answers are as large as they can be: results of 50 MB, resources of 4 MB for whatever model,
 * chat completions of 60 MB. Prints its port; ends when its stdin is closed.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HOSTILE_CONTAINER, HOSTILE_MODEL, LONG_CONTAINERS } from './attack.ts'

const RESULT_BYTES = 50e6
const RESOURCES_BYTES = 4e6
const COMPLETION_BYTES = 60e6
const BLOCK = Buffer.alloc(64 * 1024, 'x')

const containers = [HOSTILE_CONTAINER, ...LONG_CONTAINERS].map((id) => ({ id, external: true, image: 'a/b:1' }))
const INFO = JSON.stringify({
  containers,
  pending: { offchain: 0, onchain: 0 },
  chain: { enabled: true, address: '0x0' },
})
const MODELS = JSON.stringify({ object: 'list', data: [{ id: HOSTILE_MODEL, object: 'model' }] })
const manyMembers = Array.from({ length: RESOURCES_BYTES / 20 }, (_, i) => [`member-${i}`.padEnd(12, '.'), { a: 1 }])
const RESOURCES = JSON.stringify({ [HOSTILE_CONTAINER]: Object.fromEntries(manyMembers) as object })
let accepted = 0

const server = createServer((request, response) => {
  const { url = '/', method } = request
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json')
    const path = url.split('?')[0]
    if (path === '/info') response.end(INFO)
    else if (path === '/v1/models') response.end(MODELS)
    else if (path === '/resources') response.end(RESOURCES)
    else if (method === 'POST' && path === '/api/jobs/batch') response.end('[]')
    else if (method === 'POST' && path === '/api/jobs') response.end(JSON.stringify({ id: `job-${accepted++}` }))
    else if (path === '/api/jobs') results(new URLSearchParams(url.split('?')[1]).getAll('id'), response)
    else pad(response, '{"id":"x","object":"chat.completion","filler":"', COMPLETION_BYTES, '"}')
  })
})

/** One job in an answer: of several asked for the others are not mentioned as known, but as running. */
function results(ids: readonly string[], response: ServerResponse): void {
  if (ids.length === 1) {
    const head = `[{"id":"${ids[0]}","status":"success","result":{"container":"${HOSTILE_CONTAINER}","output":"`
    return pad(response, head, RESULT_BYTES, '"}}]')
  }
  response.end(JSON.stringify(ids.map((id) => ({ id, status: 'running', result: null }))))
}

function pad(response: ServerResponse, head: string, bytes: number, tail: string): void {
  let left = bytes
  response.setHeader('content-length', head.length + bytes + tail.length)
  response.write(head)
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      const block = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left)
      left -= block.length
      if (!response.write(block)) return void response.once('drain', more)
    }
    if (left <= 0) response.end(tail)
  }
  more()
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
