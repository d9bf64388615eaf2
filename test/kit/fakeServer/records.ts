/** Requests that a simulated server saw, kept for tests. */

/** Names and values alternate, as they came. */
export type RawHeaders = readonly string[]

/** A request as plain data: what crosses the control port. */
export interface RequestData {
  /** Counts from 1 within a server. */
  n: number
  /** When it was complete: milliseconds since the epoch, with fractions. */
  at: number
  endpoint: string | undefined
  method: string
  /** Path and query. */
  url: string
  httpVersion: string
  rawHeaders: RawHeaders
  remoteAddress: string
  remotePort: number
  bodyLength: number
  /** base64; left out where the body was longer than what is kept. */
  body?: string
}

export class RecordedRequest {
  readonly n: number
  readonly at: number
  readonly endpoint: string | undefined
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  readonly rawHeaders: RawHeaders
  readonly remoteAddress: string
  readonly remotePort: number
  readonly bodyLength: number
  /** `undefined` where the body was longer than what is kept. */
  readonly body: Buffer | undefined

  constructor(data: Omit<RequestData, 'body'>, body: Buffer | undefined) {
    this.n = data.n
    this.at = data.at
    this.endpoint = data.endpoint
    this.method = data.method
    this.url = data.url
    this.httpVersion = data.httpVersion
    this.rawHeaders = data.rawHeaders
    this.remoteAddress = data.remoteAddress
    this.remotePort = data.remotePort
    this.bodyLength = data.bodyLength
    this.body = body
  }

  static fromData(data: RequestData): RecordedRequest {
    return new RecordedRequest(data, data.body === undefined ? undefined : Buffer.from(data.body, 'base64'))
  }

  toJSON(): RequestData {
    const { body, ...rest } = this
    return { ...rest, ...(body ? { body: body.toString('base64') } : {}) }
  }

  /** The header's value, of several lines the first; the name in any case. */
  header(name: string): string | undefined {
    return this.headerLines(name)[0]
  }

  headerLines(name: string): string[] {
    return headerLines(this.rawHeaders, name)
  }

  get text(): string {
    if (!this.body) throw new Error(`the body of ${this.bodyLength} bytes was not kept`)
    return this.body.toString()
  }

  json<T = unknown>(): T {
    return JSON.parse(this.text) as T
  }
}

export function headerLines(rawHeaders: RawHeaders, name: string): string[] {
  const wanted = name.toLowerCase()
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === wanted)
}
