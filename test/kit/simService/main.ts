/**
 * A simulated service as a process: `node main.ts --port 0 --models a,b --options '{"seconds":0.1}' --control-port 0`.
 * Prints one line of JSON with its ports; ends on SIGTERM, or when its stdin is closed.
 */
import { parseArgs } from 'node:util'
import { startSimService } from './simService.ts'
import type { SimServiceOptions } from './options.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    models: { type: 'string' },
    'control-port': { type: 'string' },
    options: { type: 'string', default: '{}' },
  },
})

const service = await startSimService({
  ...(JSON.parse(values.options) as SimServiceOptions),
  port: Number(values.port),
  ...(values.models === undefined ? {} : { models: values.models.split(',') }),
  ...(values['control-port'] === undefined ? {} : { controlPort: Number(values['control-port']) }),
})
const { host, port, controlPort } = service
process.stdout.write(`${JSON.stringify({ host, port, controlPort, pid: process.pid })}\n`)

const end = (): void => process.exit(0)
process.on('SIGTERM', end)
process.stdin.on('end', end).on('error', end).resume()
