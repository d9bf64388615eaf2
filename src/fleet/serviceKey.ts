import type { NodeSpec } from './address.ts'

/** The header that carries a service's own key; undefined where it has none. */
export function keyHeaderOf({ apiKey, apiKeyHeader }: NodeSpec): readonly [name: string, value: string] | undefined {
  if (apiKey === undefined) return undefined
  if (apiKeyHeader === undefined || apiKeyHeader === 'authorization') return ['authorization', `Bearer ${apiKey}`]
  return [apiKeyHeader, apiKey]
}
