import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startGateway } from '../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../kit/builders/jobs.ts'
import { spawnGateway } from '../kit/gateway.ts'
import { request, type Answer } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { eventually, freePort } from '../kit/wait.ts'
import { SUBSCRIPTION } from '../kit.test/jobQuestions.ts'
import { problems } from './conformance.ts'
import { answerOf, description, operations } from './document.ts'

const file = { after }
const nodes = await Promise.all([
  startFakeNode({ containers: [{ id: 'echo', description: 'says it again' }], rateLimit: 0, chain: true }, file),
  startFakeNode({ containers: [{ id: 'echo', image: 'example/other:1' }, 'slow'], rateLimit: 0 }, file),
])
const service = await startFakeOpenAi({ models: ['small-model'] }, file)
const gateway = await startGateway(file, {
  nodes: [...nodes, `127.0.0.1:${await freePort()}`],
  services: [{ name: 'service', url: service.url }],
  env: { OPS_KEY: 'ops' },
  healthy: 3,
})

interface Call {
  status: number
  query?: string
  /** Of the parameters in the path. */
  values?: Record<string, string>
  body?: object | string
  headers?: Record<string, string>
}

const job = jobOf()
const workerUrl = nodes[0].url
const OPS = { Authorization: 'Bearer ops' }
const chat = { model: 'small-model', messages: [] }
const prompt = {
  model: 'small-model',
  prompt: 'Hello',
  input: 'Hello',
  query: 'Hello',
  documents: ['a'],
  max_tokens: 9,
}
const form = {
  headers: { 'Content-Type': 'multipart/form-data; boundary=X' },
  body: '--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmall-model\r\n--X--\r\n',
}
const forwarded = (call: Omit<Call, 'status'>): Call[] => [
  { status: 200, ...call },
  { status: 404, body: { model: 'nobody-has-it' } },
]
const forDeployment = (call: Omit<Call, 'status'>): Call[] => [
  { status: 200, query: '?api-version=1', ...call },
  { status: 404, values: { model: 'nobody-has-it' }, ...call },
]
const guarded: Call[] = [{ status: 200, headers: OPS }, { status: 401 }]

async function submit(data: object): Promise<string> {
  const answer = await request(`${gateway.url}/api/jobs`, { method: 'POST', body: jobOf(data) })
  return answer.json<{ id: string }>().id
}

const finished = await submit({})
const running = await submit({ seconds: 60 })
const look = `${gateway.url}/api/jobs?pending=false`
await eventually(async () => (await request(look)).text.includes(finished))

/** What each operation is asked, by its id. */
const CALLS: Record<string, Call[]> = {
  submitJob: [
    { status: 200, body: job },
    { status: 200, body: SUBSCRIPTION, headers: { 'Idempotency-Key': 'k' } },
    { status: 400, body: 'not JSON' },
    { status: 405, body: { ...job, containers: [] } },
    { status: 415, body: job, headers: { 'Content-Encoding': 'compress' } },
    { status: 422, body: job, headers: { 'Idempotency-Key': 'k' } },
    { status: 503, body: { ...job, containers: ['nobody-has-it'] } },
  ],
  readJobs: [
    { status: 200 },
    { status: 200, query: '?pending=true' },
    { status: 200, query: '?id=unknown' },
    { status: 200, query: `?id=${finished}&id=${running}` },
    { status: 200, query: `?id=${finished}&id=${running}&intermediate=true` },
  ],
  submitBatch: [
    { status: 200, body: [job, { containers: 1 }, jobOf({}, ['nobody-has-it'])] },
    { status: 400, body: {} },
  ],
  streamJob: [
    { status: 200, body: job },
    { status: 400, body: job, headers: { 'Idempotency-Key': 'k' } },
    { status: 405, body: SUBSCRIPTION },
  ],
  reportStatus: [
    { status: 200, body: statusReport(running, 'running') },
    { status: 404, body: statusReport('unknown', 'running') },
  ],
  readInfo: [{ status: 200 }],
  readResources: [{ status: 200 }, { status: 200, query: '?model_id=small-model' }],

  lookUpAddresses: [{ status: 200, query: '?container=echo&n=1' }, { status: 400 }],
  lookUpAddress: [{ status: 200 }, { status: 503, query: '?container=nobody-has-it' }],
  lookUpContainers: [{ status: 200 }],
  lookUpResources: [{ status: 200 }, { status: 200, query: '?model_id=small-model' }],
  route: [
    { status: 200, body: { endpoint: 'echo', cost: 2.5 } },
    { status: 400, body: { endpoint: 1 } },
    { status: 503, body: { endpoint: 'nobody-has-it' } },
    { status: 200, body: { endpoint: 'echo', cost: 0, request_idx: 0, replay_timeout: 60 } },
    { status: 200, body: { endpoint: 'nobody-has-it', request_idx: 0 } },
  ],
  reportWorker: [
    { status: 200, body: { url: workerUrl, loadtime: 1.5, error_msg: '', num_requests_working: 0 } },
    { status: 400, body: { url: workerUrl } },
    { status: 404, body: { url: 'http://127.0.0.1:1', loaded: true } },
  ],
  reportEndedRequests: [{ status: 200, body: { requests: [] } }],
  readPublicKey: [{ status: 200 }],

  chat: [...forwarded({ body: chat }), { status: 200, body: { ...chat, stream: true } }, { status: 400, body: {} }],
  chatShort: forwarded({ body: chat }),
  complete: forwarded({ body: prompt }),
  completeShort: forwarded({ body: prompt }),
  embed: forwarded({ body: prompt }),
  respond: forwarded({ body: prompt }),
  message: forwarded({ body: { ...chat, max_tokens: 9 } }),
  rerank: forwarded({ body: prompt }),
  respondBelow: [{ status: 404, body: { model: 'nobody-has-it' } }],
  readResponse: [{ status: 404 }],
  deleteResponse: [{ status: 404 }],
  readResponseInput: [{ status: 404 }],
  cancelResponse: [{ status: 404 }],
  score: forwarded({ body: prompt }),
  tokenize: forwarded({ body: prompt }),
  countTokens: forwarded({ body: chat }),
  embedShort: forwarded({ body: prompt }),
  respondShort: forwarded({ body: prompt }),
  messageShort: forwarded({ body: { ...chat, max_tokens: 9 } }),
  rerankShort: forwarded({ body: prompt }),
  scoreShort: forwarded({ body: prompt }),
  tokenizeShort: forwarded({ body: prompt }),
  deploymentChat: forDeployment({ body: { messages: [] } }),
  deploymentComplete: forDeployment({ body: { prompt: 'Hello' } }),
  deploymentEmbed: forDeployment({ body: { input: 'Hello' } }),
  moderate: forwarded({ body: prompt }),
  speak: forwarded({ body: { ...prompt, voice: 'any' } }),
  transcribe: forwarded(form),
  translate: forwarded(form),
  generateImage: forwarded({ body: prompt }),
  editImage: forwarded(form),
  varyImage: forwarded(form),
  openRealtime: [{ status: 426, query: '?model=small-model' }],
  listModels: [{ status: 200 }],
  listModelsShort: [{ status: 200 }],
  readModel: [{ status: 200 }, { status: 404, values: { id: 'nobody-has-it' } }],
  readModelShort: [{ status: 200 }, { status: 404, values: { id: 'nobody-has-it' } }],

  readHealth: [{ status: 200 }],
  readStatus: [{ status: 200 }],
  isAlive: [{ status: 200 }],
  isReady: [{ status: 200 }],
  listServices: guarded,
  readStats: guarded,
  readMetrics: guarded,
  openDashboard: guarded,
  describe: [{ status: 200 }],
  welcome: [{ status: 200 }, { status: 200, headers: { Accept: 'text/html' } }],
  openDocs: [{ status: 200 }],
  readDocsFile: [
    { status: 200, values: { file: 'swagger-ui.css' } },
    { status: 404, values: { file: 'package.json' } },
  ],
  showUsage: [
    ...guarded,
    { status: 200, query: '?from=2026-01-01&to=2026-01-31&caller=a&model=b', headers: OPS },
    { status: 400, query: '?from=x', headers: OPS },
  ],
  browseJobs: [
    { status: 200, headers: OPS },
    { status: 200, query: '?state=success&caller=127.0.0.1&container=echo&limit=1', headers: OPS },
    { status: 400, query: '?state=lost', headers: OPS },
    { status: 401 },
  ],
  showJob: [
    { status: 200, values: { id: finished }, headers: OPS },
    { status: 404, values: { id: 'unknown' }, headers: OPS },
  ],
  drainNode: [
    { status: 200, values: { name: 'service' }, headers: OPS },
    { status: 401 },
    { status: 404, values: { name: 'nobody' }, headers: OPS },
  ],
  undrainNode: [
    { status: 200, values: { name: 'service' }, headers: OPS },
    { status: 404, values: { name: 'nobody' }, headers: OPS },
  ],
}

function assertDescribed(operationId: string, answer: Answer): void {
  const { operation } = operations.find((one) => one.operation.operationId === operationId)!
  const { content = {} } = answerOf(operation, answer.status)
  const type = (answer.headers['content-type'] ?? '').split(';')[0]!
  const media = content[type] ?? content['*/*']
  assert.ok(media, `${type} is not described for ${answer.status}`)
  if (type !== 'application/json') return
  const value: unknown = answer.json()
  assert.deepEqual(problems(description, media.schema, value), [], answer.text.slice(0, 2000))
}

for (const { path, method, operation } of operations) {
  test(`${method} ${path} answers as described`, async () => {
    for (const { status, query = '', values = {}, ...call } of CALLS[operation.operationId] ?? []) {
      const asked = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? 'small-model')
      const answer = await request(gateway.url + asked + query, { method, ...call })
      assert.equal(answer.status, status, answer.text)
      assertDescribed(operation.operationId, answer)
    }
    assert.ok(CALLS[operation.operationId], 'there is no call for it')
  })
}

test('a gateway without healthy nodes answers as described', async (t) => {
  const lonely = await spawnGateway(t)
  for (const [path, operationId] of [
    ['/health', 'readHealth'],
    ['/status', 'readStatus'],
    ['/readyz', 'isReady'],
  ] as const) {
    const answer = await request(lonely.url + path)
    assert.equal(answer.status, 503)
    assertDescribed(operationId, answer)
  }
})
