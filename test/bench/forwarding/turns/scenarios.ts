/** What one request, one answer of a node or one list makes the gateway do. */
import { randomUUID } from 'node:crypto'
import { request, post, type RequestOptions } from '../../../kit/http.ts'
import type { Gateway } from '../../../kit/gateway.ts'
import { CONTAINER, infoOf, type Answering } from './backends.ts'

export interface Scenario {
  readonly name: string
  /** How many backends, and of which kind. */
  readonly nodes?: number
  readonly isService?: boolean
  /** Nodes of the explorer at which nobody listens, and lines of the addresses file for such. */
  readonly deadNodes?: number
  readonly deadLines?: number
  readonly env?: Record<string, string>
  /** What the backends answer beside `/info`, submissions and `/v1/models`. */
  readonly answering?: Answering
  /** What is done, and the statuses of the answers: by default polls alone, for some seconds. */
  readonly run?: (gateway: Gateway) => Promise<number[]>
}

const MEGABYTES = 30
const zeros = (bytes: number): string => `[${'0,'.repeat(bytes / 2)}0]`
const job = (containers: readonly string[], data: string): string =>
  `{"containers":${JSON.stringify(containers)},"data":{"x":${data}}}`
const LONG: RequestOptions = { timeoutMs: 120_000 }

const posting =
  (path: string, body: () => string, headers: Record<string, string> = {}) =>
  async (gateway: Gateway): Promise<number[]> => [(await post(gateway.url + path, body(), { ...LONG, headers })).status]
const getting =
  (...paths: string[]) =>
  async (gateway: Gateway): Promise<number[]> => {
    const statuses: number[] = []
    for (const path of paths) statuses.push((await request(gateway.url + path, LONG)).status)
    return statuses
  }

const subscription = (n: number): object => ({
  subscription: { containers: `0x${n.toString(16).padStart(64, '0')}` },
  signature: {},
  data: {},
})
const batchOf = (count: number, item: (n: number) => object): string =>
  JSON.stringify(Array.from({ length: count }, (_, n) => item(n)))
const listOf = (count: number, text: (n: number) => string): string[] =>
  Array.from({ length: count }, (_, n) => text(n))

const longIds = listOf(6, (n) => `${n}${'x'.repeat(250)}`)
const manyIds = listOf(1000, (n) => `container-${n}`)
/** Almost as much as is read, other each time. */
const hugeList = listOf(100_000, (n) => `,{"id":"${n}"}`).join('')
const text = JSON.stringify({ containers: [CONTAINER], data: {} })

const info =
  (answer: (node: number) => string): Answering =>
  ({ node, url }) =>
    url === '/info' ? answer(node) : undefined

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'batch of 1,000 jobs, Connection header of 60 kB',
    run: posting('/api/jobs/batch', () => `[${Array(1000).fill(text).join(',')}]`, {
      connection: Array(30_000).fill('a').join(','),
    }),
  },
  { name: 'batch of 10,000 jobs', run: posting('/api/jobs/batch', () => `[${Array(10_000).fill(text).join(',')}]`) },
  {
    name: 'batch of 10,000 jobs for nobody, 200 nodes',
    nodes: 200,
    run: posting('/api/jobs/batch', () => batchOf(10_000, (n) => ({ containers: [`made-up-${n}`], data: {} }))),
  },
  {
    name: 'batch of 10,000 subscriptions',
    answering: info(() => infoOf(['a', 'b', 'c', 'd', 'e', 'f', 'g'], 'image', true)),
    run: posting('/api/jobs/batch', () => batchOf(10_000, subscription)),
  },
  {
    name: 'one subscription, six ids of 250 bytes',
    answering: info(() => infoOf(longIds, 'image', true)),
    run: posting('/api/jobs', () => JSON.stringify(subscription(1))),
  },
  { name: 'job of 30 MB, numbers', run: posting('/api/jobs', () => job([CONTAINER], zeros(MEGABYTES * 1e6))) },
  { name: 'job of 30 MB, one text', run: posting('/api/jobs', () => job([CONTAINER], `"${'é'.repeat(15e6)}"`)) },
  {
    name: 'job of 30 MB with an Idempotency-Key',
    run: (gateway) =>
      posting('/api/jobs', () => job([CONTAINER], `"${'x'.repeat(30e6)}"`), { 'idempotency-key': randomUUID() })(
        gateway,
      ),
  },
  {
    name: 'job of 100,000 containers',
    run: posting('/api/jobs', () =>
      job(
        listOf(99_000, (n) => `container-${n}`),
        '1',
      ),
    ),
  },
  {
    name: 'batch of 30 MB, two jobs',
    run: posting(
      '/api/jobs/batch',
      () =>
        `[${Array(2)
          .fill(job([CONTAINER], zeros(15e6)))
          .join(',')}]`,
    ),
  },
  { name: 'chat of 30 MB', run: posting('/v1/chat/completions', () => `{"messages":${zeros(30e6)},"model":"m"}`) },
  {
    name: 'chat, model of 30 MB of escapes',
    run: posting('/v1/chat/completions', () => `{"model":"${'\\u0061'.repeat(5e6)}"}`),
  },
  {
    name: 'form of 30 MB',
    run: posting('/v1/audio/transcriptions', () => `--X\r\n${'\r\n--'.repeat(7e6)}`, {
      'content-type': 'multipart/form-data; boundary=X',
    }),
  },
  {
    name: 'look-up of 5,000 containers, 200 nodes',
    nodes: 200,
    run: getting(
      `/api/v1/ips?n=100000&${listOf(5000, () => `container=${CONTAINER}`).join('&')}`,
      `/api/v1/ips?n=100000&${listOf(4000, (n) => `container=${n}`).join('&')}`,
    ),
  },
  { name: 'results of 10,000 ids', run: getting(`/api/jobs?${listOf(10_000, (n) => `id=${n % 1000}`).join('&')}`) },
  {
    name: '/resources of 200 nodes, 1 MB each',
    nodes: 200,
    answering: ({ url, node }) =>
      url.startsWith('/resources')
        ? `{${listOf(1000, (n) => `"c${node}-${n}":{"supported":true,"x":[${'1,'.repeat(400)}1]}`).join(',')}}`
        : undefined,
    run: getting('/resources', '/api/v1/resources', '/resources?model_id=a'),
  },
  {
    name: '1,000 containers at each of 200 nodes, other images',
    nodes: 200,
    answering: info((node) => infoOf(manyIds, `image-${node}`)),
    run: getting('/info', '/api/v1/containers', '/stats', '/services', '/metrics', '/health'),
  },
  {
    name: '/info of 2 MB',
    nodes: 20,
    answering: info((node) => `{"containers":[{"id":"${node}-${Date.now()}"}${hugeList}]}`),
  },
  {
    name: '/v1/models of 2 MB',
    isService: true,
    nodes: 20,
    answering: ({ url, node }) =>
      url === '/v1/models' ? `{"data":[{"id":"${node}-${Date.now()}"}${hugeList}]}` : undefined,
    run: getting('/v1/models'),
  },
  {
    name: '8 MB of results of running jobs',
    answering: ({ url, method }) => {
      if (url === '/info') return undefined
      if (method === 'POST') return `{"id":"${randomUUID()}"}`
      const ids = new URLSearchParams(url.split('?')[1]).getAll('id')
      return `[${ids.map((id) => `{"id":"${id}","status":"running","result":${zeros(7.9e6 / ids.length)}}`).join(',')}]`
    },
    run: posting('/api/jobs', () => text),
  },
  {
    name: '10,000 dead nodes from the explorer',
    deadNodes: 10_000,
    run: getting('/stats', '/services', '/metrics', '/health', '/api/v1/ip', '/info'),
  },
  { name: '40,000 dead nodes from the explorer', deadNodes: 40_000 },
  {
    name: '20,000 dead nodes in the addresses file',
    deadLines: 20_000,
    run: getting('/stats', '/services', '/metrics', '/health', '/api/v1/ip', '/info'),
  },
]
