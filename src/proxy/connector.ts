import type { Socket } from 'node:net'
import { buildConnector, errors } from 'undici'
import { Deadline } from './deadline.ts'

/** Makes connections to one origin, in the given time. */
export function createConnector(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({
    // The one below is exact; undici's can be a second late.
    timeout: 0,
    allowH2: false,
    // Happy eyeballs might show us to one node under two addresses, and jobs belong to an address.
    autoSelectFamily: false,
  })
  return (options, callback) => {
    const dueAt = performance.now() + timeoutMs
    // It returns the socket, of which its type says nothing, and calls back later.
    const socket = connect(options, (...result) => {
      deadline.stop()
      callback(...result)
    }) as unknown as Socket
    const deadline = new Deadline(
      () => dueAt,
      () => socket.destroy(new errors.ConnectTimeoutError(`not connected within ${timeoutMs} ms`)),
    )
  }
}
