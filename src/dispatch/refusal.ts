import type { TrackedNode } from '../fleet/node.ts'

/**
 * Whether an answer is the backend's refusal of any such request, not a word about this one: 408, 5xx, 401, 402 and 403 under
 * the service's own key, 404 of a model that it lists. 429 and 503 are pushback, and no refusal.
 */
export function isRefusal(status: number, node: TrackedNode, model?: string): boolean {
  switch (status) {
    case 401:
    case 402:
    case 403:
      return node.spec.apiKey !== undefined
    case 404:
      return model !== undefined && node.models.has(model)
    case 408:
      return true
    default:
      return status >= 500 && status !== 503
  }
}

/** Whether an answer says that the backend wants no more for now. */
export function isPushback(status: number): boolean {
  return status === 429 || status === 503
}
