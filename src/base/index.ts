/* What features use of what knows nothing of gateways. */
export type { Identity } from './identity.ts'
export { limitKeyOf } from './limitKey.ts'
export type { Logger } from './logger.ts'
export type { MemoryBudget, Refusal, Reservation } from './memory/budget.ts'
export { Semaphore } from './semaphore.ts'
export { steadyClock } from './steadyClock.ts'
export { inTurns, nextTurn, nowOrInTurns, Slice, type Steps } from './turns.ts'
export { withTimeout } from './withTimeout.ts'
