import type { TicketKeys } from './keys.ts'
import { pythonNumber, pythonString } from './pythonJson.ts'

/** What a ticket promises: that the worker at `url` is asked for `endpoint`, as its `reqnum`th request. */
export interface TicketFields {
  /** Full URL of the worker. */
  readonly url: string
  /** A container id, several joined by commas, or a model, as the client asked. */
  readonly endpoint: string
  /** Size of the request in the client's own unit, 0 or more, as the client spelt it: what workers read depends on that. */
  readonly cost: string
  /** Counts the tickets of one worker. */
  readonly reqnum: number
  /** Names the request over all its tries, in the dialect that has it. */
  readonly requestIndex?: number | undefined
}

/**
 * The text that a worker checks the signature against, as Python's `json.dumps(…, indent=4)` makes it of the values that the
 * worker reads in our answer: of `cost`, `endpoint`, `reqnum` and `url` in this order, or where the ticket has a request index of
 * `url` alone.
 */
function signingText({ url, endpoint, cost, reqnum, requestIndex }: TicketFields): string {
  const members = [`"url": ${pythonString(url)}`]
  if (requestIndex === undefined) {
    members.unshift(
      `"cost": ${pythonNumber(cost)}`,
      `"endpoint": ${pythonString(endpoint)}`,
      `"reqnum": ${pythonNumber(JSON.stringify(reqnum))}`,
    )
  }
  return `{\n    ${members.join(',\n    ')}\n}`
}

/** A signed ticket as the very bytes to answer with: the signature holds for their spelling of the numbers. */
export async function issueTicket(keys: TicketKeys, fields: TicketFields): Promise<Buffer> {
  const { url, endpoint, cost, reqnum, requestIndex } = fields
  const signature = await keys.sign(signingText(fields))
  const head = JSON.stringify({ url, reqnum, signature, endpoint })
  const index = requestIndex === undefined ? '' : `,"request_idx":${requestIndex}`
  return Buffer.from(`${head.slice(0, -1)},"cost":${cost}${index}}`)
}
