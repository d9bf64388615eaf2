import { isTooLong, MAX_ID_BYTES } from '../ids.ts'
import {
  ANSWER_LIMITS,
  firstElementsSteps,
  memberOf,
  objectSteps,
  scanSteps,
  stringAt,
  type JsonSpan,
} from '../json/index.ts'
import type { Steps } from '../turns.ts'
import type { LeftOut } from './info.ts'

/** Models of one service that are taken note of. */
export const MAX_MODELS = 10_000

/** What a service lists at `/models`. */
export interface ModelList {
  readonly models: readonly string[]
  /** Missing where nothing was left out. */
  readonly leftOut?: LeftOut | undefined
}

/** Reads a service's list of models, `{"data":[{"id"}]}`; undefined where it is of another shape. */
export function* modelSteps(answer: Buffer): Steps<ModelList | undefined> {
  const list = yield* scanSteps(answer, 0, answer.length, ANSWER_LIMITS)
  const data = list.kind === 'object' ? memberOf(list.members, 'data') : undefined
  if (data?.kind !== 'array') return undefined
  const { elements, count } = yield* firstElementsSteps(answer, data, MAX_MODELS)
  const models: string[] = []
  let tooLong = 0
  for (const element of elements) {
    const id = yield* idOf(answer, element)
    if (id === undefined) return undefined
    if (isTooLong(id)) tooLong++
    else models.push(id)
    yield
  }
  const tooMany = count - elements.length
  return { models, ...(tooLong + tooMany > 0 && { leftOut: { tooLong, tooMany } }) }
}

function* idOf(answer: Buffer, element: JsonSpan): Steps<string | undefined> {
  if (element.kind !== 'object') return undefined
  const id = memberOf(yield* objectSteps(answer, element.start, element.end, ANSWER_LIMITS), 'id')
  if (id?.kind !== 'string') return undefined
  // A long one is not decoded: an escaped byte takes six.
  const end = Math.min(id.end, id.start + 6 * MAX_ID_BYTES + 3)
  return end < id.end ? answer.toString('latin1', id.start, end) : stringAt(answer, id)
}
