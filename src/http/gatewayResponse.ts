import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * A response that has headers of the gateway's own beside those of `setHeader`. Node stores what is set one by one in a
 * dictionary and reads it back for the head, which takes as long again as writing the head from a list.
 */
export class GatewayResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  /** Name, value, name, value … */
  readonly #own: string[] = []
  /** In lower case, names of those that a head cannot replace. */
  #deciding: Set<string> | undefined

  /** As `instanceof`, for which a class of Express's has the wrong prototype. */
  static isOne(res: ServerResponse): res is GatewayResponse {
    return #own in res
  }

  /** Sets a header of the gateway's own. One of the same name that is set in another way takes its place. */
  setOwn(name: string, value: string): void {
    const at = this.#indexOf(name)
    if (at < 0) this.#own.push(name, value)
    else this.#own[at + 1] = value
  }

  /** Sets a header of the gateway's own that stands, whatever a head that is passed on says under its name. */
  setDeciding(name: string, value: string): void {
    this.setOwn(name, value)
    this.#deciding ??= new Set()
    this.#deciding.add(name.toLowerCase())
  }

  /**
   * Node calls it, too, where a response ends without it.
   *
   * @param given headers by name; neither a reason phrase nor a list
   */
  override writeHead(status: number, given?: unknown): this {
    const all = (given ?? {}) as OutgoingHttpHeaders
    const headers = this.#deciding ? without(all, this.#deciding) : all
    if (this.getHeaderNames().length > 0) return this.#writeMerged(status, headers)
    const head = [...this.#own]
    for (const name in headers) {
      const value = headers[name]
      if (value === undefined) continue
      if (this.#indexOf(name) >= 0) return this.#writeMerged(status, headers)
      if (!Array.isArray(value)) head.push(name, String(value))
      else for (const one of value) head.push(name, one)
    }
    return super.writeHead(status, head)
  }

  #writeMerged(status: number, headers: OutgoingHttpHeaders): this {
    const own = this.#own
    for (let i = 0; i < own.length; i += 2) {
      const name = own[i] as string
      if (!this.hasHeader(name)) this.setHeader(name, own[i + 1] as string)
    }
    return super.writeHead(status, headers)
  }

  #indexOf(name: string): number {
    const own = this.#own
    for (let i = 0; i < own.length; i += 2) {
      const other = own[i] as string
      if (other.length === name.length && other.toLowerCase() === name.toLowerCase()) return i
    }
    return -1
  }
}

function without(headers: OutgoingHttpHeaders, names: ReadonlySet<string>): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name.toLowerCase())))
}

/** Sets a header of the gateway's own, also where the response is of another server than ours. */
export function setOwnHeader(res: ServerResponse, name: string, value: string): void {
  if (GatewayResponse.isOne(res)) res.setOwn(name, value)
  else res.setHeader(name, value)
}

/** The same for one that stands, whatever a backend's answer says under its name. */
export function setDecidingHeader(res: ServerResponse, name: string, value: string): void {
  if (GatewayResponse.isOne(res)) res.setDeciding(name, value)
  else res.setHeader(name, value)
}
