import { isPushback, isRefusal } from '../fleet/refusal.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { Elsewhere } from '../proxy/exchange.ts'
import type { RetryBudget } from '../proxy/retryBudget.ts'

/** What only generates: done twice it costs work, and changes nothing. */
const GENERATING = new Set([
  ...['/chat/completions', '/completions', '/embeddings', '/messages', '/messages/count_tokens'],
  ...['/rerank', '/score', '/tokenize', '/responses'],
])

/** Whether a request may run twice: a response in the background would live on at both services. */
export function onlyGenerates(path: string, isBackground: boolean): boolean {
  const [name = ''] = path.toLowerCase().split('?')
  return GENERATING.has(name) && !isBackground
}

/** When a request for this model goes to another service after an answer of one. Words about the request itself pass at once. */
export function secondTries(model: string, mayRunTwice: boolean, budget: RetryBudget): Elsewhere {
  const judge = (status: number, node: TrackedNode): ReturnType<Elsewhere['after']> => {
    if (!isRefusal(status, node, model)) return 'pass'
    // Those below 500 refuse before anything is run, except for a time-out.
    if (status < 500 && status !== 408) return 'retry'
    return mayRunTwice ? 'rerun' : 'pass'
  }
  const holds: Elsewhere['holds'] = (status, node) =>
    status >= 400 && (isPushback(status) || judge(status, node) !== 'pass')
  const after: Elsewhere['after'] = ({ status }, node) => judge(status, node)
  return { holds, after, budget }
}
