import type { Fleet } from '../../fleet/fleet.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { WarmCaches } from './warmCaches.ts'

/** The caches of a fleet's services. A service that goes down or leaves takes what is known of it along. */
export function cachesOf(fleet: Fleet, usesIndex: boolean, siblings?: () => number): WarmCaches<TrackedNode> {
  const caches = new WarmCaches<TrackedNode>({ now: fleet.now, usesIndex, siblings })
  fleet.on('service:load', (node, { running, waiting, own }) => caches.polled(node, running + waiting, own))
  fleet.on('node:down', (node) => caches.wentDown(node))
  fleet.on('node:removed', (node) => caches.left(node))
  return caches
}
