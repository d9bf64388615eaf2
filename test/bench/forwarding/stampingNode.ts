/**
 * A fake node whose streams tell the time: every piece that is just `STAMP` leaves as the moment of its writing.
 * Prints its port; ends when its stdin is closed.
 */
import { ServerResponse } from 'node:http'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { PIECE_BYTES, STAMP, stampMs } from './stamp.ts'

type Write = (this: ServerResponse, chunk: unknown, ...more: unknown[]) => boolean
// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with the response that it is written to
const write = ServerResponse.prototype.write as Write

ServerResponse.prototype.write = function (this: ServerResponse, chunk: unknown, ...more: unknown[]): boolean {
  return write.call(this, chunk === STAMP ? `${stampMs().toFixed(3)} `.padEnd(PIECE_BYTES, '.') : chunk, ...more)
}

const node = await startFakeNode({
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
