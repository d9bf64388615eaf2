import type { Request, RequestHandler, Response } from 'express'
import { withTimeout } from '../base/withTimeout.ts'
import { GatewayFault } from '../faults.ts'
import type { Check } from './checks.ts'

/** Counts running requests, and turns new work away while the gateway shuts down. */
export class Drain {
  #isDraining = false
  #running = 0
  /** Submissions under way, which may outlive their requests. */
  #submitting = 0
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
    // It comes once anyway, and `once` costs more.
    res.on('close', () => {
      this.#running--
      this.#tellIfIdle()
    })
  }

  /** Counts a submission until its handler is done: it is completed, and recorded, also when its client has left. */
  toItsEnd(submit: (req: Request, res: Response) => Promise<void>): RequestHandler {
    return async (req, res) => {
      this.#submitting++
      try {
        await submit(req, res)
      } finally {
        this.#submitting--
        this.#tellIfIdle()
      }
    }
  }

  /** From now on no new work. Resolves when nothing runs any more, or after `timeoutSeconds`. */
  async begin(timeoutSeconds: number): Promise<void> {
    this.#isDraining = true
    if (this.#isIdle) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onIdle = resolve
    await withTimeout(promise, timeoutSeconds)
  }

  /** Refuses new work while draining; for routes that start something. */
  readonly refuseNewWork: Check = () => {
    if (this.#isDraining) throw new GatewayFault('ERR_DRAINING', undefined, { headers: { Connection: 'close' } })
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#submitting === 0
  }

  #tellIfIdle(): void {
    if (this.#isIdle) this.#onIdle?.()
  }
}
