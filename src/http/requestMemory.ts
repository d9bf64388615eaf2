import type { Request, RequestHandler, Response } from 'express'
import { GatewayFault, type FaultCode } from '../faults.ts'
import { limitKeyOf } from '../base/limitKey.ts'
import { contextOf, type RequestMemory } from './context.ts'
import type { MemoryBudget, Refusal, Reservation } from '../base/memory/budget.ts'

/** Room is free again as soon as an upload or an answer has ended. */
const RETRY_AFTER_SECONDS = 1

/**
 * Lets a handler read a body and collect answers on its caller's account. This is the one place where their room is given
 * back, however the request ends. Authentication must come before.
 */
export function countMemory(budget: MemoryBudget, handler: RequestHandler): RequestHandler {
  return async (req, res, next) => {
    const context = contextOf(req)
    const holder = limitKeyOf(context.caller)
    const memory: RequestMemory = { body: budget.open(holder), answer: budget.open(holder) }
    context.memory = memory
    try {
      await handler(req, res, next)
    } finally {
      memory.body.release()
      releaseOnceTaken(res, memory.answer)
    }
  }
}

/** An answer that its client does not read stays in the buffer of its connection. */
function releaseOnceTaken(res: Response, answer: Reservation): void {
  if (answer.bytes === 0 || res.closed) answer.release()
  else res.on('close', () => answer.release())
}

/** The memory of a request whose handler counts it. */
export function memoryOf(req: Request): RequestMemory {
  const { memory } = contextOf(req)
  if (!memory) throw new Error('the handler of this request is not wrapped in countMemory')
  return memory
}

/** The fault for a body without room. The connection closes: the rest of the body is of no use. */
export function bodyRefused(refusal: Refusal): GatewayFault {
  return refused('ERR_MEMORY_BUDGET', refusal, { Connection: 'close' })
}

/** The fault for an answer without room, by which time a backend has the request. */
export function answerRefused(refusal: Refusal): GatewayFault {
  const message = `${refusal.message}; the request may have been carried out`
  return refused('ERR_ANSWER_BUDGET', { ...refusal, message })
}

/** The fault for a recorded answer or result without room: it stays kept, and no backend was asked. */
export function replayRefused(refusal: Refusal): GatewayFault {
  return refused('ERR_MEMORY_BUDGET', refusal)
}

function refused(code: FaultCode, { message, params }: Refusal, headers: Record<string, string> = {}): GatewayFault {
  return new GatewayFault(code, message, {
    ...(params && { params }),
    headers: { 'Retry-After': String(RETRY_AFTER_SECONDS), ...headers },
  })
}
