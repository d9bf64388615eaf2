/** Loaded before a gateway: its connections to others leave from OWN_ADDRESS, as those of a machine that moved would. */
import { Socket } from 'node:net'

const ownAddress = process.env['OWN_ADDRESS']

if (ownAddress) {
  const prototype = Socket.prototype as unknown as { connect: (this: Socket, ...given: unknown[]) => Socket }
  const { connect } = prototype
  prototype.connect = function (...given: unknown[]): Socket {
    const first = Array.isArray(given[0]) ? (given[0] as unknown[])[0] : given[0]
    if (typeof first === 'object' && first !== null && 'port' in first)
      Object.assign(first, { localAddress: ownAddress })
    return connect.apply(this, given)
  }
}
