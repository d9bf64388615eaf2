/**
 * A fake node as a process: `node main.ts --port 0 --concurrency 2 --speed 0.1 --containers a,b --control-port 0`.
 * Other options as JSON: `--options '{"rateLimit":0}'`. Prints one line of JSON with its ports;
 * ends on SIGTERM, or when its stdin is closed.
 */
import { parseArgs } from 'node:util'
import { startFakeNode } from './localNode.ts'
import type { FakeNodeOptions } from './options.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    host: { type: 'string' },
    concurrency: { type: 'string' },
    speed: { type: 'string' },
    containers: { type: 'string' },
    'rate-limit': { type: 'string' },
    'control-port': { type: 'string' },
    options: { type: 'string', default: '{}' },
  },
})

const options: FakeNodeOptions = {
  ...(JSON.parse(values.options) as FakeNodeOptions),
  port: Number(values.port),
  ...(values.host === undefined ? {} : { host: values.host }),
  ...(values.concurrency === undefined ? {} : { concurrency: Number(values.concurrency) }),
  ...(values.speed === undefined ? {} : { speed: Number(values.speed) }),
  ...(values.containers === undefined ? {} : { containers: values.containers.split(',') }),
  ...(values['rate-limit'] === undefined ? {} : { rateLimit: Number(values['rate-limit']) }),
  ...(values['control-port'] === undefined ? {} : { controlPort: Number(values['control-port']) }),
}

const node = await startFakeNode(options)
const { host, port, controlPort } = node
process.stdout.write(`${JSON.stringify({ host, port, controlPort, pid: process.pid })}\n`)

const end = (): void => process.exit(0)
process.on('SIGTERM', end)
process.stdin.on('end', end).on('error', end).resume()
