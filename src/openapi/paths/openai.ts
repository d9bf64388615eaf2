import { errorShapeAt } from '../../http/errorShapes.ts'
import { FORWARDED_PATHS } from '../../openai/forwardedPaths.ts'
import {
  CLIENT_FAULTS,
  OPENAI_FAULTS,
  REALTIME_FAULTS,
  shapedFaultAnswers,
  TOKEN_LIMIT_HEADERS,
} from '../faultAnswers.ts'
import {
  json,
  named,
  object,
  text,
  type Answer,
  type Operation,
  type Parameter,
  type Paths,
  type Schema,
} from '../openApi.ts'
import { FROM_BACKEND, parameter } from '../parameters.ts'
import { CLIENTS } from '../security.ts'

const tags = ['OpenAI-compatible']
const security = CLIENTS

/** All that routing looks at. */
const BODY: Schema = {
  ...object({ model: text('Decides which services can take it.') }),
  additionalProperties: true,
  description: 'Goes to the service as it is.',
}

const DEPLOYMENT_BODY: Schema = { type: 'object', additionalProperties: true }

export const ANSWER: Answer = {
  description: "The service's own answer, untouched; events as they come.",
  headers: {
    ...FROM_BACKEND,
    ...Object.fromEntries(TOKEN_LIMIT_HEADERS.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
  },
  content: { 'application/json': { schema: {} }, 'text/event-stream': { schema: text() } },
}
const FILE: Answer = { ...ANSWER, content: { '*/*': { schema: {} } } }

interface Forwarded {
  readonly operationId: string
  readonly summary: string
  readonly isForm?: true
  readonly answer?: Answer
}

/** Operation by path. What a path is for is said by the API that the services are compatible with. */
const FORWARDED: Readonly<Record<string, Forwarded>> = Object.fromEntries(
  FORWARDED_PATHS.flatMap((known): [string, Forwarded][] => {
    const { path, operationId, summary, isForm, answersFile, hasShortForm } = known
    const about = { operationId, summary, ...(isForm && { isForm }), ...(answersFile && { answer: FILE }) }
    const whole: [string, Forwarded] = [`/v1${path}`, about]
    if (!hasShortForm) return [whole]
    return [whole, [path, { operationId: `${operationId}Short`, summary: `The same as \`/v1${path}\`` }]]
  }),
)

/** For clients of Azure's SDKs, whose path names the model. */
const DEPLOYMENTS: Readonly<Record<string, Forwarded>> = Object.fromEntries(
  FORWARDED_PATHS.filter((known) => known.hasDeploymentForm).map(({ path, operationId, summary }) => [
    `/openai/deployments/{model}${path}`,
    { operationId: `deployment${operationId[0]!.toUpperCase()}${operationId.slice(1)}`, summary },
  ]),
)

const MODEL: Parameter = {
  ...{ name: 'model', in: 'path', required: true, schema: { type: 'string' } },
  description: 'Decides which services can take it. A `model` in the body is replaced by it.',
}
const MODEL_ID: Parameter = {
  ...{ name: 'id', in: 'path', required: true, schema: { type: 'string' } },
  description: 'As listed. Slashes may stand as they are, or encoded.',
}

const REALTIME: Operation = {
  ...{ operationId: 'openRealtime', tags, security, summary: 'Realtime, by WebSocket' },
  description:
    'Asks for a WebSocket to the best healthy service with this model; it stays open until one side ends it. The key may ' +
    'also be a protocol, `openai-insecure-api-key.KEY`, since pages cannot set headers.',
  parameters: [
    {
      ...{ name: 'model', in: 'query', required: true, schema: { type: 'string' } },
      description: 'Decides which services can take it.',
    },
    parameter('Priority'),
  ],
  responses: {
    101: { description: 'From here on the connection is a WebSocket with the service.', headers: FROM_BACKEND },
    ...shapedFaultAnswers('openai', REALTIME_FAULTS),
  },
}

/** Calls that go to the best healthy service which has the model. */
export const OPENAI_PATHS: Paths = {
  ...Object.fromEntries(Object.entries(FORWARDED).map(([path, about]) => [path, { post: forwarded(path, about) }])),
  ...Object.fromEntries(
    Object.entries(DEPLOYMENTS).map(([path, about]) => [
      path,
      { post: { ...forwarded(path, about, DEPLOYMENT_BODY), parameters: [MODEL, parameter('Priority')] } },
    ]),
  ),
  '/v1/realtime': { get: REALTIME },
  '/v1/models': { get: listed('/v1/models', 'listModels', 'Models of healthy services') },
  '/models': { get: listed('/models', 'listModelsShort', 'The same as `/v1/models`') },
  '/v1/models/{id}': { get: one('/v1/models/', 'readModel', 'One of the models') },
  '/models/{id}': { get: one('/models/', 'readModelShort', 'The same as `/v1/models/{id}`') },
}

function one(path: string, operationId: string, summary: string): Operation {
  return {
    ...{ operationId, tags, security, summary },
    parameters: [MODEL_ID],
    responses: {
      200: json('Its entry in the list.', named('Model')),
      ...shapedFaultAnswers(errorShapeAt(path), [...CLIENT_FAULTS, 'ERR_MODEL_NOT_FOUND']),
    },
  }
}

function listed(path: string, operationId: string, summary: string): Operation {
  return {
    ...{ operationId, tags, security, summary },
    responses: {
      200: json('All of them.', named('Models')),
      ...shapedFaultAnswers(errorShapeAt(path), CLIENT_FAULTS),
    },
  }
}

export function forwarded(
  path: string,
  { operationId, summary, isForm, answer = ANSWER }: Forwarded,
  body = BODY,
): Operation {
  return {
    ...{ operationId, tags, security, summary },
    description:
      'Goes to the best healthy service with this model. The service’s own key, where one is set, takes the place of the ' +
      "client's. Leaving cancels the request.",
    parameters: [parameter('Priority')],
    requestBody: {
      required: true,
      content: { [isForm ? 'multipart/form-data' : 'application/json']: { schema: body } },
    },
    responses: { 200: answer, ...shapedFaultAnswers(errorShapeAt(path), OPENAI_FAULTS) },
  }
}
