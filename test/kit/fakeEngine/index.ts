export { startEngine } from './localEngine.ts'
export { ENGINE_DEFAULTS, prefillMs, TOKEN_CHARACTERS, tokenMs, type Engine } from './options.ts'
export { spawnEngines, type EngineStats, type SpawnedEngines } from './spawn.ts'
