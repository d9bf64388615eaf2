/* What features know of choosing a backend. */
export type { Dispatcher } from './dispatcher.ts'
export { kindAtPath } from './judge.ts'
export type { Lease } from './lease.ts'
export { isPushback, isRefusal } from './refusal.ts'
export {
  ANY_NODE,
  CHAIN_NODE,
  nobodyRuns,
  noHealthyNode,
  requireContainers,
  type Requirement,
  requireModel,
  shortened,
  workKindOf,
} from './requirement.ts'
export type { Selector } from './selector.ts'
export { PrefixChain } from './warmCaches/prefixChain.ts'
export type { Prompt } from './warmCaches/prompt.ts'
