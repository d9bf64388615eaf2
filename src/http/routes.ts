import type { Express, IRoute, RequestHandler, Router } from 'express'
import { GatewayFault } from '../faults.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** Handlers of one path by method. HEAD is answered as GET. */
export type PathHandlers = Partial<Record<Method, readonly RequestHandler[]>>

/** Registers a path of which it is not known what is there: its methods and OPTIONS (204); other methods find nothing here. */
export function addOpenPath(app: Express | Router, path: string, handlers: PathHandlers): void {
  register(app, path, handlers)
}

/** Registers a path: its methods, OPTIONS (204), and for every other method 405, both with `Allow`. */
export function addPath(app: Express | Router, path: string | string[], handlers: PathHandlers): void {
  const { route, allow } = register(app, path, handlers)
  route.all((req) => {
    throw new GatewayFault('ERR_METHOD_NOT_ALLOWED', `${req.method} is not allowed here; allowed: ${allow}`, {
      headers: { Allow: allow },
    })
  })
}

function register(
  app: Express | Router,
  path: string | string[],
  handlers: PathHandlers,
): { route: IRoute; allow: string } {
  const route = app.route(path)
  if (handlers.GET) route.get(...handlers.GET)
  if (handlers.POST) route.post(...handlers.POST)
  if (handlers.PUT) route.put(...handlers.PUT)
  if (handlers.DELETE) route.delete(...handlers.DELETE)
  const methods = Object.keys(handlers)
  const allow = [...methods, ...(handlers.GET ? ['HEAD'] : []), 'OPTIONS'].join(', ')
  route.options((_req, res) => {
    res.status(204).setHeader('Allow', allow)
    res.end()
  })
  return { route, allow }
}
