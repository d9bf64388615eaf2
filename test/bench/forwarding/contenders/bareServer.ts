/**
 * `node bareServer.ts PORT NODE …`: Express and http-proxy-middleware with undici behind it, in turn to each node, and nothing
 * else: what the stack of the gateway costs before it does anything for its users.
 */
import express, { type Request, type Response } from 'express'
import { createProxyMiddleware, type Plugin } from 'http-proxy-middleware'
import type { IncomingHttpHeaders } from 'node:http'
import { Pool, type Dispatcher } from 'undici'

const NOT_FORWARDED = new Set(['host', 'connection', 'content-length', 'keep-alive', 'transfer-encoding'])

const [port, ...nodes] = process.argv.slice(2)
const pools = nodes.map((node) => new Pool(`http://${node}`))
let turn = 0

class Answering implements Dispatcher.DispatchHandler {
  readonly #res: Response
  readonly #chunks: Buffer[] = []
  #headers: IncomingHttpHeaders = {}

  constructor(res: Response) {
    this.#res = res
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#res.statusCode = status
    this.#headers = headers
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const body = Buffer.concat(this.#chunks)
    this.#res.writeHead(this.#res.statusCode, { ...forwarded(this.#headers), 'content-length': body.length })
    this.#res.end(body)
  }

  onResponseError(): void {
    this.#res.destroy()
  }
}

function forwarded(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const out: IncomingHttpHeaders = {}
  for (const name in headers) if (!NOT_FORWARDED.has(name)) out[name] = headers[name]
  return out
}

const overUndici: Plugin<Request, Response> = (proxyServer) => {
  proxyServer.web = (req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      const { method, url: path } = req
      const request = { method, path, headers: forwarded(req.headers), body: Buffer.concat(chunks) }
      pools[turn++ % pools.length]!.dispatch(request, new Answering(res))
    })
    return Promise.resolve()
  }
}

const app = express()
app.use(createProxyMiddleware<Request, Response>({ target: `http://${nodes[0]}`, plugins: [overUndici] }))
app.listen(Number(port), '127.0.0.1')
