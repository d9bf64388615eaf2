import type { Request, Response } from 'express'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Served } from '../../openai/forward.ts'

/** Where spans are made of what the other modules tell. */
export interface Traces {
  /** A request has begun. */
  begun(req: Request): void
  /** Its answer has closed. */
  ended(req: Request, res: Response): void
  /** A service has answered it to its end. */
  served(served: Served): void
  /** The same ledger, whose writes are traced. */
  ledger(ledger: Ledger): Ledger
  /** Sends what is left, at most this long. */
  stop(seconds: number): Promise<void>
}
