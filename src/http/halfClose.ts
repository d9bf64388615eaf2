import type { Socket } from 'node:net'

type Watched = Socket & { [WATCHERS]?: Set<() => void> }
const WATCHERS = Symbol('half-close watchers')

/**
 * Calls once when the client has closed its sending side (FIN). By that alone nobody can tell whether it has left or only has
 * nothing more to send. Returns what ends the watch.
 */
export function onHalfClose(socket: Socket, then: () => void): () => void {
  const watched = socket as Watched
  if (socket.readableEnded) {
    const soon = setImmediate(then)
    return () => clearImmediate(soon)
  }
  // One listener for all requests of a connection: each of its own would be many with pipelining.
  let watchers = watched[WATCHERS]
  if (!watchers) {
    const all = new Set<() => void>()
    watched[WATCHERS] = watchers = all
    socket.once('end', () => {
      for (const watcher of [...all]) watcher()
    })
  }
  watchers.add(then)
  return () => watchers.delete(then)
}
