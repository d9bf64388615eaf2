/** What takes traces over OTLP, and how tests read them. */
import { serve } from './serve.ts'
import { eventually, type Cleanup } from './wait.ts'

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 2: server, 3: client. */
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly {
    readonly key: string
    readonly value: { readonly stringValue?: string; readonly intValue?: number | string }
  }[]
  /** 2: error. */
  readonly status: { readonly code?: number }
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: Pick<Span, 'attributes'>
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[]
  }[]
}

interface Received {
  readonly contentType: string | undefined
  readonly authorization: string | undefined
  readonly body: Buffer
}

/** What takes traces at `POST /v1/traces`. */
export class Collector {
  readonly received: Received[] = []
  address = ''

  async start(t: Cleanup): Promise<this> {
    this.address = await serve(t, (req, res) => {
      const pieces: Buffer[] = []
      req.on('data', (piece: Buffer) => pieces.push(piece))
      req.on('end', () => {
        const { 'content-type': contentType, authorization } = req.headers
        if (req.url === '/v1/traces') this.received.push({ contentType, authorization, body: Buffer.concat(pieces) })
        res.setHeader('Content-Type', 'application/json').end('{}')
      })
    })
    return this
  }

  get spans(): Span[] {
    return this.#exports.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    )
  }

  get resource(): Record<string, unknown> {
    return attributesOf(this.#exports[0]!.resourceSpans[0]!.resource)
  }

  get #exports(): Export[] {
    return this.received.map(({ body }) => JSON.parse(body.toString()) as Export)
  }

  /** The spans of a trace, in the order in which they began, as soon as there are as many. */
  async trace(traceId: string, count: number): Promise<Span[]> {
    const found = await eventually(
      () => {
        const spans = this.spans.filter((span) => span.traceId === traceId)
        return spans.length >= count ? spans : undefined
      },
      { withinMs: 20_000, what: `${count} spans of ${traceId}` },
    )
    return found.sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
  }
}

export function attributesOf({ attributes }: Pick<Span, 'attributes'>): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? (value.intValue && Number(value.intValue))]),
  )
}

/** The id of the trace of a request whose id is a UUID. */
export const traceOf = (requestId: string): string => requestId.replaceAll('-', '')

/** Name and parent of each, as `child < parent`. */
export function treeOf(spans: readonly Span[]): string[] {
  const nameOf = (id: string | undefined): string => spans.find(({ spanId }) => spanId === id)?.name ?? 'nobody'
  return spans.map(({ name, parentSpanId }) => `${name} < ${nameOf(parentSpanId)}`).sort()
}
