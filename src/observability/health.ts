import type { RequestHandler, Response } from 'express'
import { RETRY_AFTER_SECONDS } from '../http/errors.ts'
import type { WatchDeps } from './pages.ts'

interface HealthAnswer {
  readonly status: 'healthy' | 'unhealthy' | 'draining'
  /** Whether only a part can be served: some backends are down, or jobs cannot be recorded. */
  readonly degraded: boolean
  readonly reason?: string
  /** `healthy/all` backends. */
  readonly counts: string
}

/**
 * A gateway that cannot record jobs still serves chat, look-ups and `/info`. If it counted as unhealthy, an outage of a store that
 * several gateways share would take all of them out of the load balancer at once.
 */
function healthOf({ fleet, drain, ledger }: WatchDeps): HealthAnswer {
  const healthy = fleet.healthy().length
  // What is drained is wanted so: it is nobody's fault that it serves nothing.
  const all = [...fleet.nodes.values()].filter((node) => node.isInService).length
  const counts = `${healthy}/${all}`
  if (drain.isDraining) return { status: 'draining', degraded: false, counts, reason: 'shutting down' }
  if (healthy === 0) return { status: 'unhealthy', degraded: false, counts, reason: 'no healthy node' }
  const { writable, reason } = ledger.health()
  if (writable) return { status: 'healthy', degraded: healthy < all, counts }
  return { status: 'healthy', degraded: true, counts, reason: `jobs cannot be recorded${reason ? `: ${reason}` : ''}` }
}

/** `GET /health`: as a node answers it, and more; 200 while something can be served. */
export function healthPage(deps: WatchDeps): RequestHandler {
  return (_req, res) => {
    const { status, degraded, reason, counts } = healthOf(deps)
    if (status !== 'healthy') unavailable(res)
    res.json({
      status,
      degraded,
      router: 'running',
      healthy_services: counts,
      timestamp: new Date().toISOString(),
      version: deps.version,
      ...(reason !== undefined && { reason }),
    })
  }
}

/** `GET /livez`: the process runs. */
export const livePage: RequestHandler = (_req, res) => void res.json({ status: 'alive' })

/** `GET /readyz`: it should get requests. */
export function readyPage(deps: WatchDeps): RequestHandler {
  return (_req, res) => {
    const { status, reason } = healthOf(deps)
    if (status === 'healthy') res.json({ status: 'ready', ...(reason !== undefined && { reason }) })
    else unavailable(res).json({ status: 'not ready', reason })
  }
}

function unavailable(res: Response): Response {
  return res.status(503).setHeader('Retry-After', RETRY_AFTER_SECONDS)
}
