export { copyState, summaryOf, type Copied, type CopyStateOptions } from './copyState.ts'
export { CopyStateError } from './errors.ts'
