import { Pool } from 'undici'

/** What a client asks for. */
export interface Work {
  readonly container: string
  /** Seconds of service on the fastest node. */
  readonly size: number
}

/** Sends work and reads ids, as cheaply as it can, over keep-alive connections. */
export class Client {
  readonly #pools = new Map<string, Pool>()

  /** A job; resolves with its id. */
  async job(origin: string, work: Work, key?: string): Promise<string> {
    const answer = await this.#post(origin, '/api/jobs', work, key)
    return (JSON.parse(answer) as { id: string }).id
  }

  /** A stream; resolves with its id once the stream has ended. */
  async stream(origin: string, work: Work): Promise<string> {
    const answer = await this.#post(origin, '/api/jobs/stream', work)
    return answer.slice(0, answer.indexOf('\n'))
  }

  /** The address that a look-up names first. */
  async lookUp(origin: string, container: string): Promise<string> {
    const { statusCode, body } = await this.#pool(origin).request({
      method: 'GET',
      path: `/api/v1/ips?container=${container}&n=1`,
    })
    const [address] = (await body.json()) as string[]
    if (statusCode !== 200 || address === undefined) throw new Error(`look-up: ${statusCode}`)
    return address
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
  }

  async #post(origin: string, path: string, { container, size }: Work, key?: string): Promise<string> {
    const { statusCode, body } = await this.#pool(origin).request({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
      body: `{"containers":["${container}"],"data":{"seconds":${size}}}`,
    })
    const text = await body.text()
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text.slice(0, 200)}`)
    return text
  }

  #pool(origin: string): Pool {
    let pool = this.#pools.get(origin)
    if (!pool) this.#pools.set(origin, (pool = new Pool(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })))
    return pool
  }
}
