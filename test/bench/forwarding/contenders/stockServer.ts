/** `node stockServer.ts PORT NODE …`: http-proxy-middleware as its documentation shows it, in turn to each node. */
import express, { type Request, type Response } from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'

const [port, ...nodes] = process.argv.slice(2)
const targets = nodes.map((node) => `http://${node}`)
let turn = 0

const app = express()
app.use(
  createProxyMiddleware<Request, Response>({
    target: targets[0]!,
    changeOrigin: true,
    router: () => targets[turn++ % targets.length]!,
  }),
)
app.listen(Number(port), '127.0.0.1')
