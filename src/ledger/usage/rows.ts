import type { UsageRow } from './usage.ts'

/** A row as it passes between threads and processes, and as SQLite has it. */
export type UsageValues = [
  day: number,
  caller: string,
  model: string,
  requests: number,
  promptTokens: number,
  completionTokens: number,
  cachedTokens: number,
]

export function valuesOfUsage(row: UsageRow): UsageValues {
  const { day, caller, model, requests, promptTokens, completionTokens, cachedTokens } = row
  return [day, caller, model, requests, promptTokens, completionTokens, cachedTokens]
}

export function usageOfValues(values: UsageValues): UsageRow {
  const [day, caller, model, requests, promptTokens, completionTokens, cachedTokens] = values
  return { day, caller, model, requests, promptTokens, completionTokens, cachedTokens }
}
