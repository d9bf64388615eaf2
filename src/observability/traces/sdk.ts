import { diag, DiagLogLevel, type Tracer } from '@opentelemetry/api'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  RandomIdGenerator,
  type IdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base'
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions'
import type { Logger } from '../../base/logger.ts'

/** Variables of the environment, with those of `.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

const NAME = 'infernet-gateway'
const DEFAULT_PROTOCOL = 'http/protobuf'

/** The SDK of OpenTelemetry, as the spans need it. */
export interface Tracing {
  readonly tracer: Tracer
  /** Makes the ids of traces and spans; the next trace may be given its id. */
  readonly ids: TraceIds
  /** Sends what is left, and lets go of everything. */
  shutdown(): Promise<void>
}

/** Sets up the SDK by its `OTEL_*` variables. Rejects where they make no sense. */
export async function createTracing(
  environment: Environment,
  { version, logger }: { version: string; logger: Logger },
): Promise<Tracing> {
  // What the packages think of their variables. Later on they would have a line for each failed attempt.
  const tell = (message: string): void => logger.warn('traces', { reason: message })
  const silent = (): void => {}
  diag.setLogger(
    { error: tell, warn: tell, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
  try {
    const exporter = new ToldExporter(await createExporter(environment), logger)
    const ids = new TraceIds()
    const provider = new BasicTracerProvider({
      resource: defaultResource()
        .merge(resourceFromAttributes({ [ATTR_SERVICE_NAME]: NAME, [ATTR_SERVICE_VERSION]: version }))
        .merge(detectResources({ detectors: [envDetector] })),
      // Its queue is bounded: what does not fit is dropped.
      spanProcessors: [new BatchSpanProcessor(exporter)],
      idGenerator: ids,
    })
    return { tracer: provider.getTracer(NAME, version), ids, shutdown: () => provider.shutdown() }
  } finally {
    diag.disable()
  }
}

async function createExporter(environment: Environment): Promise<SpanExporter> {
  const protocol =
    environment['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || environment['OTEL_EXPORTER_OTLP_PROTOCOL'] || DEFAULT_PROTOCOL
  switch (protocol) {
    case 'http/protobuf': {
      const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
      return new OTLPTraceExporter()
    }
    case 'http/json': {
      const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
      return new OTLPTraceExporter()
    }
    default:
      throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or http/json, not ${protocol}`)
  }
}

/** Random ids, but for a trace that is given one. */
class TraceIds implements IdGenerator {
  readonly #random = new RandomIdGenerator()
  #next: string | undefined

  /** The next trace that begins has this id. */
  set next(id: string | undefined) {
    this.#next = id
  }

  generateTraceId(): string {
    const id = this.#next ?? this.#random.generateTraceId()
    this.#next = undefined
    return id
  }

  generateSpanId(): string {
    return this.#random.generateSpanId()
  }
}

/** Tells of an outage once, and of its end. */
class ToldExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #logger: Logger
  #isFailing = false

  constructor(exporter: SpanExporter, logger: Logger) {
    this.#exporter = exporter
    this.#logger = logger
  }

  export(...[spans, done]: Parameters<SpanExporter['export']>): void {
    this.#exporter.export(spans, (result) => {
      this.#tell(result.error)
      done(result)
    })
  }

  #tell(error: Error | undefined): void {
    const isFailing = error !== undefined
    if (isFailing === this.#isFailing) return
    this.#isFailing = isFailing
    if (isFailing) this.#logger.warn('traces cannot be exported, spans are dropped meanwhile', { error })
    else this.#logger.info('traces are exported again')
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve()
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}
