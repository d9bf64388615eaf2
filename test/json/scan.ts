import { arraySteps, scanSteps, type JsonKind, type JsonSpan, type JsonValue } from '../../src/json/index.ts'
import { atOnce } from '../kit/steps.ts'

/** `scanSteps` at once. */
export function scanValue(...range: Parameters<typeof scanSteps>): JsonValue {
  return atOnce(scanSteps(...range))
}

/** `arraySteps` at once. */
export function scanArray(...range: Parameters<typeof arraySteps>): JsonSpan[] {
  return atOnce(arraySteps(...range))
}

/** What the bytes hold. */
export function kindOf(...range: Parameters<typeof scanSteps>): JsonKind {
  return scanValue(...range).kind
}
