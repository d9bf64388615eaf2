/** A simulated Infernet node: behaves as a real one, and misbehaves on command. */
export { BAD_INFO, SimNode } from './handle.ts'
export { LocalSimNode, startSimNode } from './localNode.ts'
export type { ContainerSpec, Endpoint, SimNodeOptions } from './options.ts'
export { RecordedRequest } from '../simServer/records.ts'
export { SpawnedSimNode, spawnSimNode } from './spawn.ts'
export { pipelineHash } from './submission.ts'
export type { JobTrace } from './work.ts'
