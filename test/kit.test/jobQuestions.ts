/** Work given to a node, one job or a batch, sound or not. The answers do not depend on what was asked before. */
import { pipelineHash } from '../kit/fakeNode/index.ts'
import type { Question } from './question.ts'

const NO_UNION =
  'can not match type \\"dict\\" to any type of \\"None\\" union: ' +
  'typing.Union[shared.message.OffchainJobMessage, shared.message.DelegatedSubscriptionMessage]'
const UNREADABLE = '400 Bad Request: The browser (or proxy) sent a request that this server could not understand.'
const NOT_WRITABLE = 'Object of type MessageType is not JSON serializable'

export const SUBSCRIPTION = subscription(['echo'])

export function subscription(containers: string[], expiry = 4_102_444_800): string {
  const zero = `0x${'0'.repeat(40)}`
  return `{"subscription":{"owner":"0x${'1'.repeat(40)}","active_at":1,"period":0,"frequency":1,"redundancy":1,"containers":"0x${pipelineHash(containers)}","lazy":false,"verifier":"${zero}","payment_amount":0,"payment_token":"${zero}","wallet":"${zero}"},"signature":{"nonce":0,"expiry":${expiry},"v":27,"r":57896044618658097711785492504343953926634992332820282019728792003956564819969,"s":3},"data":{"x":1}}`
}

const job = (containers: string, more = ''): string => `{"containers":${containers},"data":{"a":1}${more}}`
const submit = { method: 'POST', path: '/api/jobs', headers: { 'Content-Type': 'application/json' } }
const batch = { ...submit, path: '/api/jobs/batch' }
const stream = { ...submit, path: '/api/jobs/stream' }
const error = (text: string): string => `{"error":"${text}"}\n`
const failure = (text: string): string => error(`Internal server error: ${text}`)

export const JOB_QUESTIONS: Question[] = [
  { name: 'a job', ...submit, body: job('["echo"]'), status: 200, answer: '{"id":"<id>"}\n' },
  {
    name: 'a job with members nobody knows',
    ...submit,
    body: job('["echo"]', ',"foo":1'),
    status: 200,
    answer: '{"id":"<id>"}\n',
  },
  {
    name: 'a job with NaN',
    ...submit,
    body: '{"containers":["echo"],"data":{"a":NaN,"b":"NaN","c":-Infinity}}',
    status: 200,
    answer: '{"id":"<id>"}\n',
  },
  {
    name: 'a job with requires_proof null',
    ...submit,
    body: job('["echo"]', ',"requires_proof":null'),
    status: 200,
    answer: '{"id":"<id>"}\n',
  },
  {
    name: 'a job that wants a proof and gets it',
    ...submit,
    body: job('["proof"]', ',"requires_proof":true'),
    status: 200,
    answer: '{"id":"<id>"}\n',
  },
  {
    name: 'a job under a chosen id',
    ...submit,
    body: job('["echo"]', ',"id":"mine"'),
    status: 200,
    answer: '{"id":"mine"}\n',
  },
  {
    name: 'a job of another +json type',
    ...submit,
    headers: { 'Content-Type': 'application/x+json' },
    body: job('["echo"]'),
    status: 200,
    answer: '{"id":"<id>"}\n',
  },
  {
    name: 'a job that claims an allowed address',
    ...submit,
    body: job('["locked"]', ',"ip":"10.9.9.9"'),
    status: 200,
    answer: '{"id":"<id>"}\n',
  },

  {
    name: 'no containers',
    ...submit,
    body: job('[]'),
    status: 405,
    answer: '{"error":"No containers specified","params":{}}\n',
  },
  {
    name: 'an unknown container',
    ...submit,
    body: job('["nope"]'),
    status: 405,
    answer: '{"error":"Container not supported","params":{"container":"nope"}}\n',
  },
  {
    name: 'an unknown second container',
    ...submit,
    body: job('["inner","nope"]'),
    status: 405,
    answer: '{"error":"Container not supported","params":{"container":"nope"}}\n',
  },
  {
    name: 'an inner container first',
    ...submit,
    body: job('["inner"]'),
    status: 405,
    answer: '{"error":"First container must be external","params":{"first_container":"inner"}}\n',
  },
  {
    name: 'a proof nobody makes',
    ...submit,
    body: job('["proof","echo"]', ',"requires_proof":true'),
    status: 405,
    answer: '{"error":"Container does not generate proof","params":{"container":"echo"}}\n',
  },
  {
    name: 'an address that is not allowed',
    ...submit,
    body: job('["echo","locked"]'),
    status: 405,
    answer: '{"error":"Container not allowed for address","params":{"address":"127.0.0.1","container":"locked"}}\n',
  },
  {
    name: 'a stream refused',
    ...stream,
    body: job('["inner"]'),
    status: 405,
    answer: '{"error":"First container must be external","params":{"first_container":"inner"}}\n',
  },
  { name: 'a subscription without a chain', ...submit, body: SUBSCRIPTION, status: 500, answer: failure(NOT_WRITABLE) },
  {
    name: 'a subscription streamed without a chain',
    ...stream,
    body: SUBSCRIPTION,
    status: 500,
    answer: failure(NOT_WRITABLE),
  },

  {
    name: 'no content type',
    ...submit,
    headers: {},
    body: job('["echo"]'),
    status: 500,
    answer: failure("'NoneType' object is not a mapping"),
  },
  {
    name: 'a text content type',
    ...submit,
    headers: { 'Content-Type': 'text/plain' },
    body: job('["echo"]'),
    status: 500,
    answer: failure("'NoneType' object is not a mapping"),
  },
  {
    name: 'a stream without a content type',
    ...stream,
    headers: {},
    body: job('["echo"]'),
    status: 500,
    answer: failure("'NoneType' object is not a mapping"),
  },
  { name: 'broken JSON', ...submit, body: '{"a":', status: 500, answer: failure(UNREADABLE) },
  { name: 'an empty body', ...submit, body: '', status: 500, answer: failure(UNREADABLE) },
  { name: 'a byte order mark', ...submit, body: `\uFEFF${job('["echo"]')}`, status: 500, answer: failure(UNREADABLE) },
  { name: 'a list', ...submit, body: '[]', status: 500, answer: failure("'list' object is not a mapping") },
  { name: 'null', ...submit, body: 'null', status: 500, answer: failure("'NoneType' object is not a mapping") },
  { name: 'a string', ...submit, body: '"s"', status: 500, answer: failure("'str' object is not a mapping") },
  { name: 'a number', ...submit, body: '5', status: 500, answer: failure("'int' object is not a mapping") },
  { name: 'no data', ...submit, body: '{"containers":["echo"]}', status: 500, answer: failure(NO_UNION) },
  {
    name: 'a list for data',
    ...submit,
    body: '{"containers":["echo"],"data":[1]}',
    status: 500,
    answer: failure(NO_UNION),
  },
  { name: 'a string for containers', ...submit, body: job('"echo"'), status: 500, answer: failure(NO_UNION) },
  { name: 'numbers for containers', ...submit, body: job('[1]'), status: 500, answer: failure(NO_UNION) },
  { name: 'a member "type"', ...submit, body: job('["echo"]', ',"type":0'), status: 500, answer: failure(NO_UNION) },
  {
    name: 'requires_proof 1',
    ...submit,
    body: job('["echo"]', ',"requires_proof":1'),
    status: 500,
    answer: failure(NO_UNION),
  },
  { name: 'a number for an id', ...submit, body: job('["echo"]', ',"id":5'), status: 500, answer: failure(NO_UNION) },
  {
    name: 'an address that is none',
    ...submit,
    body: job('["locked"]', ',"ip":"rubbish"'),
    status: 500,
    answer: failure("'rubbish' does not appear to be an IPv4 or IPv6 address"),
  },
  {
    name: 'bytes that are no UTF-8',
    ...submit,
    body: Buffer.from('{"containers":["echo"],"data":{"a":"\xff"}}', 'latin1'),
    status: 500,
    answer: failure("'utf-8' codec can't decode byte 0xff in position 36: invalid start byte"),
  },

  {
    name: 'a batch',
    ...batch,
    body: `[${job('["echo"]')},${job('["nope"]')},${job('["echo"]', ',"id":"chosen"')}]`,
    status: 200,
    answer: '[{"id":"<id>"},{"error":"Container not supported","params":{"container":"nope"}},{"id":"chosen"}]\n',
  },
  { name: 'an empty batch', ...batch, body: '[]', status: 200, answer: '[]\n' },
  {
    name: 'a batch without a content type',
    ...batch,
    headers: {},
    body: `[${job('["echo"]')}]`,
    status: 200,
    answer: '[{"id":"<id>"}]\n',
  },
  { name: 'a batch that is an object', ...batch, body: job('["echo"]'), status: 400, answer: error('Expected a list') },
  { name: 'a batch that is null', ...batch, body: 'null', status: 400, answer: error('Expected a list') },
  {
    name: 'a batch with null',
    ...batch,
    body: `[${job('["echo"]')},null]`,
    status: 500,
    answer: error("Could not enqueue job:  'NoneType' object is not a mapping"),
  },
  {
    name: 'a batch with an unreadable item',
    ...batch,
    body: `[${job('["echo"]')},{"containers":["echo"]}]`,
    status: 500,
    answer: error(`Could not enqueue job:  ${NO_UNION}`),
  },
  {
    name: 'a batch with a subscription without a chain',
    ...batch,
    body: `[${job('["echo"]')},${SUBSCRIPTION}]`,
    status: 500,
    answer: error(`Could not enqueue job:  ${NOT_WRITABLE}`),
  },
  { name: 'a broken batch', ...batch, body: '[{', status: 500, answer: error(`Could not enqueue job:  ${UNREADABLE}`) },
]
