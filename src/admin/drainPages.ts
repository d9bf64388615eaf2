import type { Request, RequestHandler, Response } from 'express'
import type { TrackedNode } from '../fleet/index.ts'
import { type DrainState, type NodeDrains, workAt } from './nodeDrains.ts'

/** `POST /admin/nodes/{name}/drain`: the node gets no new work. */
export function drainNode(drains: NodeDrains): RequestHandler {
  return async (req, res) => answer(res, drains, { name: nameIn(req), nodes: await drains.drain(nameIn(req)) })
}

/** `POST /admin/nodes/{name}/undrain`: it gets new work again. */
export function undrainNode(drains: NodeDrains): RequestHandler {
  return async (req, res) => answer(res, drains, { name: nameIn(req), nodes: await drains.undrain(nameIn(req)) })
}

function nameIn(req: Request): string {
  return String(req.params['name'])
}

/** A node and a service may have one name: then both are meant, and they are told of as one. */
function answer(
  res: Response,
  drains: NodeDrains,
  { name, nodes }: { name: string; nodes: readonly TrackedNode[] },
): void {
  const states = new Set(nodes.map((node) => drains.stateOf(node)))
  const drain: DrainState = states.has('draining') ? 'draining' : states.has('drained') ? 'drained' : null
  res.json({ name, drain, unfinished: nodes.reduce((sum, node) => sum + workAt(node), 0) })
}
