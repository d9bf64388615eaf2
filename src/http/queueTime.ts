import type { ServerResponse } from 'node:http'
import { setOwnHeader } from './gatewayResponse.ts'

/** Says in `X-Queue-Ms` how long a request waited for places at backends, over all tries; in whole milliseconds, 0 where it did not. */
export function tellQueueTime(res: ServerResponse, seconds: number): void {
  setOwnHeader(res, 'X-Queue-Ms', seconds > 0 ? String(Math.round(seconds * 1000)) : '0')
}
