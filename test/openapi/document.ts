/** The description as tests walk through it. */
import { describeApi } from '../../src/openapi/index.ts'
import type { Answer, Operation, Paths } from '../../src/openapi/openApi.ts'
import { resolve } from './conformance.ts'

interface Description {
  paths: Paths
  tags: { name: string }[]
  components: Record<string, Record<string, unknown>>
}

/** As a client reads it: through JSON. */
export const description = JSON.parse(JSON.stringify(describeApi('1.2.3'))) as Description

export interface Described {
  path: string
  method: string
  operation: Operation
}

export const operations: Described[] = Object.entries(description.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
)

/** What is described for a status, or for all that have no description of their own. */
export function answerOf(operation: Operation, status: number): Answer {
  const answer = operation.responses[status] ?? operation.responses['default']
  if (!answer) throw new Error(`${operation.operationId} has no answer ${status}`)
  return '$ref' in answer ? (resolve(description, answer.$ref) as Answer) : answer
}

/** Calls `visit` with each object in a value, the value included. */
export function walk(value: unknown, visit: (object: Record<string, unknown>) => void): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) visit(value as Record<string, unknown>)
  for (const member of Object.values(value)) walk(member, visit)
}
