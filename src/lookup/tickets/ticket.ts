import type { TicketKeys } from './keys.ts'
import { pythonNumber, pythonString } from './pythonJson.ts'

/** What a ticket promises: that the worker at `url` is asked for `endpoint`, as its `reqnum`th request. */
export interface TicketFields {
  /** Full URL of the worker. */
  readonly url: string
  /** A container id, several joined by commas, or a model, as the client asked. */
  readonly endpoint: string
  /** Size of the request in the client's own unit, above 0. */
  readonly cost: number
  /** Counts the tickets of one worker. */
  readonly reqnum: number
}

/** The answer of `POST /route/`. */
interface Ticket extends TicketFields {
  /** Base64 of RSA PKCS#1 v1.5 over SHA-256 of the signing text. */
  readonly signature: string
}

/** A ticket, and the very bytes to answer with: the signature holds for their spelling of the numbers. */
export interface IssuedTicket {
  readonly answer: Ticket
  readonly body: Buffer
}

/**
 * The text that is signed: what Python's `json.dumps({"cost", "endpoint", "reqnum", "url"}, indent=4)` makes of the
 * values that it reads in our answer, where the cost is spelt `costSpelling`.
 */
function signingText(fields: TicketFields, costSpelling = JSON.stringify(fields.cost)): string {
  const members = [
    `"cost": ${pythonNumber(costSpelling)}`,
    `"endpoint": ${pythonString(fields.endpoint)}`,
    `"reqnum": ${pythonNumber(JSON.stringify(fields.reqnum))}`,
    `"url": ${pythonString(fields.url)}`,
  ]
  return `{\n    ${members.join(',\n    ')}\n}`
}

/** Signs a ticket. Throws RangeError where the cost is no number above 0. */
export async function issueTicket(
  keys: TicketKeys,
  { url, endpoint, cost, reqnum }: TicketFields,
  costSpelling = JSON.stringify(cost),
): Promise<IssuedTicket> {
  if (!(cost > 0 && Number.isFinite(cost)))
    throw new RangeError(`A ticket's cost must be a number above 0, not ${cost}`)
  const signature = await keys.sign(signingText({ url, endpoint, cost, reqnum }, costSpelling))
  const head = JSON.stringify({ url, reqnum, signature, endpoint })
  const body = Buffer.from(`${head.slice(0, -1)},"cost":${costSpelling}}`)
  return { answer: { url, reqnum, signature, endpoint, cost }, body }
}
