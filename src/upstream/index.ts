/*
 * What features know of the way to backends. What is not named here is this folder's own affair.
 */
export type { Answer, AnswerSink, BackendRequest, Flow } from './answer.ts'
export { Attempt, type AttemptResult, collect, type CollectResult } from './attempt.ts'
export type { StreamTap } from './clientSink.ts'
export type { AcceptedWork, Elsewhere, Exchange, RetryPolicy } from './exchange.ts'
export type { ClientExchange, Forwarded, Forwarder } from './forwarder.ts'
export { type FlatHeaders, headersForBackend, headersOnBehalf, replaceCredentials } from './headers.ts'
export { RetryBudget } from './retryBudget.ts'
export type { Patience } from './patience.ts'
export type { RetryState } from './retryState.ts'
export { Leaving } from './leaving.ts'
export { type CollectedOutcome, noteOutcome, routingOf, type Upstream } from './send.ts'
export { abandon, type AnswerEnd, isAccepted, judgeCall, settlePart } from './settle.ts'
export type { Transport } from './transport.ts'
export { writeAnswer } from './writeAnswer.ts'
