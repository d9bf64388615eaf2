export { copyState, summaryOf } from './copyState.ts'
