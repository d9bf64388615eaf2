import type { Logger } from '../../base/logger.ts'
import type { Environment } from './sdk.ts'
import type { Traces } from './traces.ts'

export type { Traces } from './traces.ts'

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
