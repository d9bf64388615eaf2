import { isPushback, isRefusal } from '../dispatch/index.ts'
import type { TrackedNode } from '../fleet/index.ts'
import type { Elsewhere, RetryBudget } from '../upstream/index.ts'
import { FORWARDED_PATHS } from './forwardedPaths.ts'
import { withoutQuery } from './paths.ts'

/** What may run twice, by path. */
const GENERATING = new Set(FORWARDED_PATHS.filter((known) => known.onlyGenerates).map(({ path }) => path))

/** OpenAI's own code for a `previous_response_id` that a service does not have. */
const PREVIOUS_NOT_FOUND = 'previous_response_not_found'

/** Whether a request may run twice: a response in the background would live on at both services. */
export function onlyGenerates(path: string, isBackground: boolean): boolean {
  const name = withoutQuery(path)
  // Mostly clients write it as it is.
  return !isBackground && (GENERATING.has(name) || GENERATING.has(name.toLowerCase()))
}

export interface SecondTriesOptions {
  readonly mayRunTwice: boolean
  readonly budget: RetryBudget
  /** Whether it builds on a response that not every service has. */
  readonly mayLackPrevious: boolean
}

/** When a request for this model goes to another service after an answer of one. Words about the request itself pass at once. */
export function secondTries(model: string, options: SecondTriesOptions): Elsewhere {
  const { mayRunTwice, budget, mayLackPrevious } = options
  const judge = (status: number, node: TrackedNode): ReturnType<Elsewhere['after']> => {
    if (mayLackPrevious && status === 404) return 'retry'
    if (!isRefusal(status, node, model)) return 'pass'
    // Those below 500 refuse before anything is run, except for a time-out.
    if (status < 500 && status !== 408) return 'retry'
    return mayRunTwice ? 'rerun' : 'pass'
  }
  const holds: Elsewhere['holds'] = (status, node) => {
    const isHeld =
      status >= 400 &&
      (isPushback(status) ||
        (mayLackPrevious && status === 400) ||
        // Only its body tells whether the path is missing or the model.
        (mayRunTwice && status === 404 && node.prefixTrials.isOpen) ||
        judge(status, node) !== 'pass')
    if (!isHeld && mayRunTwice) node.callAnswered(status)
    return isHeld
  }
  const after: Elsewhere['after'] = ({ status, body }, node) => {
    if (mayRunTwice) node.callAnswered(status, body)
    if (mayLackPrevious && status === 400 && body.includes(PREVIOUS_NOT_FOUND)) return 'retry'
    return judge(status, node)
  }
  return { holds, after, budget }
}
