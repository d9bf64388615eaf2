export { ANSWER_LIMITS, JsonLimitError, JsonSyntaxError, NODE_LIMITS, PLAIN_LIMITS } from './errors.ts'
export type { JsonLimits } from './errors.ts'
export { joinArray, memberOf, splice, stringArrayAt } from './pieces.ts'
export {
  arraySteps,
  firstElementsSteps,
  kindOf,
  named,
  objectSteps,
  scanArray,
  scanObject,
  scanSteps,
  scanValue,
} from './scan.ts'
export type { FirstElements, JsonKind, JsonMember, JsonSpan, JsonValue } from './scan.ts'
export { JsonStream } from './stream.ts'
export type { StreamListener } from './stream.ts'
export { stringAt } from './text.ts'
export type { ByteRange } from './text.ts'
