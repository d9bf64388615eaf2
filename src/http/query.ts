import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'

/** What was asked of nodes is remembered under the model's name, so that names of any length would fill the memory. */
const MAX_MODEL_ID_LENGTH = 1000

/** The query of a request, read once. */
export function queryOf(req: Request): URLSearchParams {
  const start = req.url.indexOf('?')
  return new URLSearchParams(start < 0 ? '' : req.url.slice(start + 1))
}

/** @throws GatewayFault ERR_BAD_REQUEST where it is not a whole number ≥ 0 */
export function wholeNumber(query: URLSearchParams, name: string, missing: number): number {
  const text = query.get(name)
  if (text === null) return missing
  if (!/^\d+$/.test(text)) {
    throw new GatewayFault('ERR_BAD_REQUEST', `${name} must be a whole number ≥ 0`, {
      params: { [name]: text.slice(0, 100) },
    })
  }
  return Number(text)
}

/** All `container=` of the query, empty ones left out. */
export function containersIn(query: URLSearchParams): string[] {
  return query.getAll('container').filter((container) => container !== '')
}

/**
 * The `model_id` of the query; `undefined` where there is none or an empty one.
 *
 * @throws GatewayFault ERR_BAD_REQUEST where it is too long to be one
 */
export function modelIdIn(query: URLSearchParams): string | undefined {
  const modelId = query.get('model_id') ?? ''
  if (modelId.length > MAX_MODEL_ID_LENGTH) {
    throw new GatewayFault('ERR_BAD_REQUEST', `model_id must have at most ${MAX_MODEL_ID_LENGTH} characters`)
  }
  return modelId === '' ? undefined : modelId
}
