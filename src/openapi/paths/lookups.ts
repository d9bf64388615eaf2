import { BODY_FAULTS, faultAnswers } from '../faultAnswers.ts'
import { json, jsonBody, named, text, type Answer, type Paths } from '../openApi.ts'
import { containerParameter, parameter } from '../parameters.ts'
import { CLIENTS, OPERATORS } from '../security.ts'
import type { FaultCode } from '../../faults.ts'

const tags = ['Look-ups']

const LOOKUP_FAULTS: readonly FaultCode[] = ['ERR_RATE_LIMITED', 'ERR_LOOP', 'ERR_NOT_READY', 'ERR_DRAINING']

const NO_WORKER: Answer = {
  description: 'No ready worker; or the gateway is not ready, cannot count tickets, or is shutting down.',
  headers: { 'Retry-After': { $ref: '#/components/headers/Retry-After' } },
  content: { 'application/json': { schema: { anyOf: [named('NoWorker'), named('Error')] } } },
}

/** For clients that ask for a node's address and go there themselves. */
export const LOOKUP_PATHS: Paths = {
  '/api/v1/ips': {
    get: {
      ...{ operationId: 'lookUpAddresses', tags, summary: 'Addresses of healthy nodes, best first' },
      parameters: [
        containerParameter(true),
        {
          ...{ name: 'n', in: 'query', description: 'How many addresses at most.' },
          schema: { type: 'integer', minimum: 0, default: 3 },
        },
        {
          ...{
            name: 'offset',
            in: 'query',
            description: 'How many to leave out, in the order of the last answer to an offset of 0 within a minute.',
          },
          schema: { type: 'integer', minimum: 0, default: 0 },
        },
      ],
      responses: {
        200: json('Spelt as they are listed; empty where no node fits.', named('Addresses')),
        ...faultAnswers('ERR_BAD_REQUEST', ...LOOKUP_FAULTS),
      },
    },
  },
  '/api/v1/ip': {
    get: {
      ...{ operationId: 'lookUpAddress', tags, summary: 'The address of the best healthy node' },
      parameters: [containerParameter(false)],
      responses: { 200: json('It.', named('Address')), ...faultAnswers('ERR_NO_NODE', ...LOOKUP_FAULTS) },
    },
  },
  '/api/v1/containers': {
    get: {
      ...{ operationId: 'lookUpContainers', tags, summary: 'What runs anywhere' },
      responses: { 200: json('Containers.', named('ContainerCounts')), ...faultAnswers(...LOOKUP_FAULTS) },
    },
  },
  '/api/v1/resources': {
    get: {
      ...{ operationId: 'lookUpResources', tags, summary: 'What each healthy node can do' },
      parameters: [parameter('ModelId')],
      responses: { 200: json('By address.', named('ResourcesByNode')), ...faultAnswers(...LOOKUP_FAULTS) },
    },
  },
  '/route': {
    post: {
      ...{ operationId: 'route', tags, security: CLIENTS, summary: 'A signed ticket for the best ready worker' },
      description:
        'Its body may be 64 KiB. The API key may also be its `api_key`. With `request_idx` or `replay_timeout` it is answered ' +
        'as clients of Vast’s SDK since 1.0 expect it.',
      requestBody: jsonBody(named('RouteRequest')),
      responses: {
        200: json('The ticket; or, for those clients, that no worker is ready yet.', {
          anyOf: [named('Ticket'), named('NotYet')],
        }),
        ...faultAnswers('ERR_UNAUTHORIZED', ...BODY_FAULTS, ...LOOKUP_FAULTS, 'ERR_LEDGER'),
        503: NO_WORKER,
      },
    },
  },
  '/worker_status': {
    post: {
      ...{ operationId: 'reportWorker', tags, security: OPERATORS, summary: 'A worker tells how it is' },
      description:
        'Taken as a poll of it: one that is still loading gets no tickets. From the addresses in `STATUS_ALLOWED_IPS`, or with ' +
        'the `OPS_KEY`. Its body may be 1 MiB.',
      requestBody: jsonBody(named('WorkerReport')),
      responses: {
        200: json('Taken.', named('WorkerReportTaken')),
        ...faultAnswers('ERR_FORBIDDEN', 'ERR_NOT_FOUND', 'ERR_RATE_LIMITED', 'ERR_LOOP', ...BODY_FAULTS),
      },
    },
  },
  '/delete_requests': {
    post: {
      ...{
        operationId: 'reportEndedRequests',
        tags,
        security: OPERATORS,
        summary: 'A worker tells which requests ended',
      },
      description: 'Taken from the same, and ignored: workers repeat it until it is taken.',
      requestBody: jsonBody({ type: 'object', additionalProperties: true }),
      responses: {
        200: json('Taken.', { type: 'object', additionalProperties: true }),
        ...faultAnswers('ERR_FORBIDDEN', 'ERR_RATE_LIMITED', 'ERR_LOOP', ...BODY_FAULTS),
      },
    },
  },
  '/pubkey': {
    get: {
      ...{ operationId: 'readPublicKey', tags, summary: 'The key that tickets are checked with' },
      responses: {
        200: { description: 'RSA, PEM.', content: { 'application/x-pem-file': { schema: text() } } },
        ...faultAnswers('ERR_LEDGER'),
      },
    },
  },
}
