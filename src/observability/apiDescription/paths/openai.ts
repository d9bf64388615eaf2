import { errorShapeAt } from '../../../http/errorShapes.ts'
import { CLIENT_FAULTS, OPENAI_FAULTS, shapedFaultAnswers } from '../faultAnswers.ts'
import { json, named, object, text, type Answer, type Operation, type Paths, type Schema } from '../openApi.ts'
import { FROM_BACKEND } from '../parameters.ts'
import { CLIENTS } from '../security.ts'

const tags = ['OpenAI-compatible']
const security = CLIENTS

/** All that routing looks at. */
const BODY: Schema = {
  ...object({ model: text('Decides which services can take it.') }),
  additionalProperties: true,
  description: 'Goes to the service as it is.',
}

export const ANSWER: Answer = {
  description: "The service's own answer, untouched; events as they come.",
  headers: FROM_BACKEND,
  content: { 'application/json': { schema: {} }, 'text/event-stream': { schema: text() } },
}
const FILE: Answer = { ...ANSWER, content: { '*/*': { schema: {} } } }

/** Operation by path; what a path is for is said by the API that the services are compatible with. */
const FORWARDED: Readonly<Record<string, { operationId: string; summary: string; isForm?: true; answer?: Answer }>> = {
  '/v1/chat/completions': { operationId: 'chat', summary: 'Chat' },
  '/chat/completions': { operationId: 'chatShort', summary: 'The same as `/v1/chat/completions`' },
  '/v1/completions': { operationId: 'complete', summary: 'Completions' },
  '/completions': { operationId: 'completeShort', summary: 'The same as `/v1/completions`' },
  '/v1/embeddings': { operationId: 'embed', summary: 'Embeddings' },
  '/v1/responses': { operationId: 'respond', summary: 'Responses' },
  '/v1/messages': { operationId: 'message', summary: 'Messages' },
  '/v1/rerank': { operationId: 'rerank', summary: 'Reranking' },
  '/v1/moderations': { operationId: 'moderate', summary: 'Moderation' },
  '/v1/audio/speech': { operationId: 'speak', summary: 'Text to speech', answer: FILE },
  '/v1/audio/transcriptions': { operationId: 'transcribe', summary: 'Speech to text', isForm: true },
  '/v1/audio/translations': { operationId: 'translate', summary: 'Speech to English text', isForm: true },
  '/v1/images/generations': { operationId: 'generateImage', summary: 'Images' },
  '/v1/images/edits': { operationId: 'editImage', summary: 'Images from images', isForm: true },
  '/v1/images/variations': { operationId: 'varyImage', summary: 'Variations of an image', isForm: true },
}

/** Calls that go to the best healthy service which has the model. */
export const OPENAI_PATHS: Paths = {
  ...Object.fromEntries(Object.entries(FORWARDED).map(([path, about]) => [path, { post: forwarded(path, about) }])),
  '/v1/models': { get: listed('/v1/models', 'listModels', 'Models of healthy services') },
  '/models': { get: listed('/models', 'listModelsShort', 'The same as `/v1/models`') },
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
  { operationId, summary, isForm, answer = ANSWER }: (typeof FORWARDED)[string],
): Operation {
  return {
    ...{ operationId, tags, security, summary },
    description:
      'Goes to the best healthy service with this model. The service’s own key, where one is set, takes the place of the ' +
      "client's. Leaving cancels the request.",
    requestBody: {
      required: true,
      content: { [isForm ? 'multipart/form-data' : 'application/json']: { schema: BODY } },
    },
    responses: { 200: answer, ...shapedFaultAnswers(errorShapeAt(path), OPENAI_FAULTS) },
  }
}
