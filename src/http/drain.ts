import type { Request, RequestHandler, Response } from 'express'
import { GatewayFault } from '../faults.ts'

/** Counts running requests, and turns new work away while the gateway shuts down. */
export class Drain {
  #isDraining = false
  #running = 0
  #onIdle: (() => void) | undefined

  get isDraining(): boolean {
    return this.#isDraining
  }

  get running(): number {
    return this.#running
  }

  /** Counts a request from now until its response has closed, however that happens. */
  track(res: Response): void {
    this.#running++
    res.once('close', () => {
      this.#running--
      if (this.#running === 0) this.#onIdle?.()
    })
  }

  /** From now on no new work. Resolves when nothing runs any more, or after `timeoutSeconds`. */
  async begin(timeoutSeconds: number): Promise<void> {
    this.#isDraining = true
    if (this.#running === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onIdle = resolve
    const timer = setTimeout(resolve, timeoutSeconds * 1000)
    await promise
    clearTimeout(timer)
  }

  /** Refuses new work while draining; for routes that start something. */
  readonly refuseNewWork: RequestHandler = (_req: Request, _res: Response, next) => {
    if (this.#isDraining) throw new GatewayFault('ERR_DRAINING', undefined, { headers: { Connection: 'close' } })
    next()
  }
}
