import { GatewayFault } from '../faults.ts'
import { errorBody, type ItemNote } from '../http/index.ts'
import type { Answer } from '../upstream/index.ts'
import type { Submission } from './shape.ts'

/** One item of a batch, as the bytes that came, and what became of it. */
export interface BatchItem {
  readonly bytes: Buffer
  /** The room that it takes in the ledger until its end, bytes; 0 where it is no job. */
  readonly room: number
  /** Missing where the item was refused before anything was sent. */
  readonly submission?: Submission
  result?: { readonly body: Buffer; readonly fault?: GatewayFault; readonly refusal?: Refusal }
  node?: string
  /** A node has taken it. */
  isAccepted?: boolean
  /** It is a job in the ledger. */
  isOurs?: boolean
}

/** A node's answer to all that it was sent, no item apart, by which none of it was taken. */
export interface Refusal {
  readonly answer: Answer
  readonly nodeName: string
}

/** What became of an item, for those who watch. */
export function noteOf({ submission, result, isAccepted }: BatchItem): ItemNote {
  const containers = submission?.kind === 'job' ? submission.containers : []
  if (isAccepted === true) return { containers, outcome: 'succeeded' }
  const { fault, refusal } = result ?? {}
  if (fault) return { containers, outcome: fault.fault.source === 'client' ? 'refused' : 'failed', fault: fault.code }
  return { containers, outcome: refusal && refusal.answer.status >= 500 ? 'failed' : 'refused' }
}

/** The item gets a fault as its answer. */
export function conclude(item: BatchItem, fault: GatewayFault): void {
  item.result = faultResult(fault)
}

/** A fault as the answer to one item. */
export function faultResult(fault: GatewayFault): { body: Buffer; fault: GatewayFault } {
  return { body: Buffer.from(errorBody(fault)), fault }
}

/** A node's answer to the whole as that of one item; `nodeName` where it was told of all of them. */
export function resultOf(answer: Answer, nodeName: string | undefined): NonNullable<BatchItem['result']> {
  return { body: itemBody(answer), ...(nodeName !== undefined && { refusal: { answer, nodeName } }) }
}

/** A node's answer to the whole, as the answer to one item: its own JSON error where it is one. */
export function itemBody(answer: Answer): Buffer {
  if (answer.status === 200 || answer.body[0] === 0x7b) return trimmed(answer.body)
  return Buffer.from(errorBody(new GatewayFault('ERR_NODE_NONSENSE', `The node answered ${answer.status}`)))
}

function trimmed(body: Buffer): Buffer {
  let end = body.length
  while (end > 0 && (body[end - 1] as number) <= 0x20) end--
  return body.subarray(0, end)
}
