/** Simulated engines as a process: `node engineMain.ts '[{"name":"e0", …}, …]'`. Its parent asks for their counts by IPC. */
import { Engine, type EngineOptions } from './engine.ts'

const options = JSON.parse(process.argv[2] ?? '[]') as EngineOptions[]
const engines = options.map((each) => new Engine(each))
await Promise.all(engines.map((engine) => engine.start()))

process.on('message', () => process.send?.(engines.map(({ stats }) => stats)))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
