/** A simulated Infernet node: behaves as a real one, and misbehaves on command. */
export { BAD_INFO, FakeNode } from './handle.ts'
export { LocalFakeNode, startFakeNode } from './localNode.ts'
export type { ContainerSpec, Endpoint, FakeNodeOptions } from './options.ts'
export { RecordedRequest } from '../fakeServer/records.ts'
export { SpawnedFakeNode, spawnFakeNode } from './spawn.ts'
export { pipelineHash } from './submission.ts'
export type { JobTrace } from './work.ts'
