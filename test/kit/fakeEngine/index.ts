export { startEngine } from './localEngine.ts'
export { ENGINE_DEFAULTS } from './options.ts'
export { spawnEngines } from './spawn.ts'
