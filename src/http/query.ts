import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'
import { refuseTooLong } from '../ids.ts'

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

/**
 * All `container=` of the query, empty ones left out.
 *
 * @throws GatewayFault ERR_BAD_REQUEST where one is too long to be one
 */
export function containersIn(query: URLSearchParams): string[] {
  const containers = query.getAll('container').filter((container) => container !== '')
  for (const container of containers) refuseTooLong(container, 'ERR_BAD_REQUEST', 'A container id')
  return containers
}

/**
 * The `model_id` of the query; `undefined` where there is none or an empty one.
 *
 * @throws GatewayFault ERR_BAD_REQUEST where it is too long to be one
 */
export function modelIdIn(query: URLSearchParams): string | undefined {
  const modelId = query.get('model_id') ?? ''
  refuseTooLong(modelId, 'ERR_BAD_REQUEST', 'model_id')
  return modelId === '' ? undefined : modelId
}
