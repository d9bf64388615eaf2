/**
 * Simulated engines as a process: `node main.ts '[{"speed":2}, …]'`, one for each object of options. Speaks with the process that
 * started it by IPC, and ends with it.
 */
import { LocalEngine } from './localEngine.ts'
import type { EngineOptions } from './options.ts'

/** What its parent may ask. */
export type EngineCommand = 'stats' | 'reset'

const options = JSON.parse(process.argv[2] ?? '[{}]') as EngineOptions[]
const engines = options.map((each) => new LocalEngine(each))
await Promise.all(engines.map((engine) => engine.start()))

process.on('message', (command: EngineCommand) => {
  if (command === 'reset') for (const engine of engines) engine.reset()
  process.send?.(engines.map(({ stats, running, waiting }) => ({ ...stats, running, waiting })))
})
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.send?.(engines.map(({ port }) => port))
