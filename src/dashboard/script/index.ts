import { FORMAT } from './format.ts'
import { NODES } from './nodes.ts'
import { POLL } from './poll.ts'
import { SUMMARY } from './summary.ts'

/**
 * What runs in the browser, as one module. Names of nodes and reasons come from outside: they become text, never markup, so
 * `textContent` is the only way by which anything is shown.
 */
export const SCRIPT = [FORMAT, SUMMARY, NODES, POLL].join('\n')
