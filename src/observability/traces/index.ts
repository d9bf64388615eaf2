import type { Request, Response } from 'express'
import type { Logger } from '../../base/logger.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Served } from '../../openai/forward.ts'
import type { Environment } from './sdk.ts'

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

interface TraceOptions {
  readonly version: string
  /** What keeps the ledger: `sqlite`, `redis` or `memory`. */
  readonly store: string
  readonly logger: Logger
  /** Puts the `OTEL_*` variables of `.env` into the environment of the process, where the packages look for them. */
  readonly prepare: () => void
}

/** Traces over OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT`, or the one for traces, is set. Only then the packages are loaded. */
export async function startTraces(
  environment: Environment,
  { version, store, logger, prepare }: TraceOptions,
): Promise<Traces | undefined> {
  if (!isWanted(environment)) return undefined
  prepare()
  try {
    const [{ createTracing }, { OtlpTraces }] = await Promise.all([import('./sdk.ts'), import('./spans.ts')])
    return new OtlpTraces(await createTracing(environment, { version, logger }), store)
  } catch (error) {
    logger.warn('no traces: their settings are not valid', { error })
    return undefined
  }
}

function isWanted(environment: Environment): boolean {
  const isSet = (name: string): boolean => (environment[name] ?? '') !== ''
  if (environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return false
  if (environment['OTEL_TRACES_EXPORTER'] === 'none') return false
  return isSet('OTEL_EXPORTER_OTLP_ENDPOINT') || isSet('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')
}
