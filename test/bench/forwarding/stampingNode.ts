/**
 * A simulated node whose streams tell the time: every piece that is just `STAMP` leaves as the moment of its writing,
 * in milliseconds since the epoch with fractions. Prints its port; ends when its stdin is closed.
 */
import { ServerResponse } from 'node:http'
import { startSimNode } from '../../kit/simNode/index.ts'
import { PIECE_BYTES, STAMP } from './stamp.ts'

const write = ServerResponse.prototype.write as (this: ServerResponse, chunk: unknown, ...more: unknown[]) => boolean

const now = (): string => (performance.timeOrigin + performance.now()).toFixed(3)

ServerResponse.prototype.write = function (this: ServerResponse, chunk: unknown, ...more: unknown[]): boolean {
  return write.call(this, chunk === STAMP ? `${now()} `.padEnd(PIECE_BYTES, '.') : chunk, ...more)
}

const node = await startSimNode({
  rateLimit: 0,
  concurrency: 1_000_000,
  streamLimit: 0,
  jobLimit: 0,
  idleTimeout: 0,
  requestsPerConnection: 0,
  record: 0,
})
process.stdout.write(`${JSON.stringify({ port: node.port })}\n`)
process.stdin.on('end', () => process.exit(0)).resume()
