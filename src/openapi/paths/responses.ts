import { BACKEND_FAULTS, BODY_FAULTS, CLIENT_FAULTS, PUSHBACK_FAULTS, shapedFaultAnswers } from '../faultAnswers.ts'
import type { Operation, Parameter, Paths } from '../openApi.ts'
import { CLIENTS } from '../security.ts'
import { ANSWER, forwarded } from './openai.ts'

const ID: Parameter = {
  ...{ name: 'id', in: 'path', required: true, schema: { type: 'string', pattern: '^[\\w.~:=+@-]{1,256}$' } },
  description: 'As the answer that made the response, or its first event, has it.',
}

/** Calls that go to the service that has a response. */
export const RESPONSE_PATHS: Paths = {
  '/v1/responses/{id}': {
    get: byId('readResponse', 'A response'),
    delete: byId('deleteResponse', 'Deletes a response'),
    post: {
      ...forwarded('/v1/responses/{id}', { operationId: 'respondBelow', summary: 'Such as `/v1/responses/compact`' }),
      parameters: [{ ...ID, description: 'What is to be done; forwarded by the `model` of the body.' }],
    },
  },
  '/v1/responses/{id}/input_items': { get: byId('readResponseInput', 'The input of a response') },
  '/v1/responses/{id}/cancel': { post: byId('cancelResponse', 'Cancels a response in the background', BODY_FAULTS) },
}

function byId(operationId: string, summary: string, more: typeof BODY_FAULTS = []): Operation {
  return {
    ...{ operationId, tags: ['OpenAI-compatible'], security: CLIENTS, summary },
    parameters: [ID],
    description:
      'Goes to the service that made the response. One that this gateway does not know is asked for at each service in turn. ' +
      "Another caller's response is not found.",
    responses: {
      200: ANSWER,
      ...shapedFaultAnswers('openai', [
        ...CLIENT_FAULTS,
        ...more,
        'ERR_NO_RESPONSE',
        'ERR_NO_SERVICE',
        ...BACKEND_FAULTS,
        ...PUSHBACK_FAULTS,
      ]),
    },
  }
}
