import type { Request, RequestHandler, Response } from 'express'

/** Looks at a request, or prepares its answer, at once; throws what the request is refused with. */
export type Check = (req: Request, res: Response) => void

/** Checks as one handler. Express takes as long for a handler as most of them do, and most requests pass a dozen. */
export function inOrder(...checks: readonly Check[]): RequestHandler {
  return (req, res, next) => {
    for (const check of checks) check(req, res)
    next()
  }
}
