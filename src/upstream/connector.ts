import type { LookupFunction, Socket } from 'node:net'
import { buildConnector, errors } from 'undici'
import { isExhausted } from '../fleet/exhausted.ts'
import { Deadline } from '../base/deadline.ts'

type Connect = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket

export interface ConnectorOptions {
  readonly timeoutMs: number
  /** How names become addresses; the system's way where it is left out. */
  readonly lookup?: LookupFunction
}

/**
 * Makes connections to one origin, in the given time. A name may stand for addresses of both families, of which only one may
 * answer; but connections to both would show us to one node under two addresses, and jobs belong to an address. So the first
 * connection finds out, and its family is kept until it fails.
 */
export function createConnector({ timeoutMs, lookup }: ConnectorOptions): buildConnector.connector {
  const build = (how: object): Connect => {
    // The time-out below is exact; undici's can be a second late.
    const connect = buildConnector({ timeout: 0, allowH2: false, ...(lookup && { lookup }), ...how })
    // It returns the socket, of which its type says nothing.
    return connect as unknown as Connect
  }
  // An address that does not answer must leave time for another.
  const toAny = build({ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: Math.max(10, timeoutMs / 2) })
  const toFamily: Readonly<Record<string, Connect>> = {
    IPv4: build({ family: 4, autoSelectFamily: false }),
    IPv6: build({ family: 6, autoSelectFamily: false }),
  }
  let kept: string | undefined

  return (options, callback) => {
    const dueAt = performance.now() + timeoutMs
    const connect = (family: string | undefined): void => {
      // The callback comes later than the socket.
      const socket = (toFamily[family ?? ''] ?? toAny)(options, (...result) => {
        deadline.stop()
        const [error, connected] = result
        if (error) {
          if (kept === family && !isExhausted(error)) kept = undefined
        } else {
          kept ??= connected.remoteFamily
          if (kept !== connected.remoteFamily) {
            // Others were faster, and found the other family.
            connected.destroy()
            return connect(kept)
          }
        }
        callback(...result)
      })
      const deadline = new Deadline(
        () => dueAt,
        () => socket.destroy(new errors.ConnectTimeoutError(`not connected within ${timeoutMs} ms`)),
      )
    }
    connect(kept)
  }
}
