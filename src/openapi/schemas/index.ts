import { map, object, text, type Schema } from '../openApi.ts'
import { JOB_SCHEMAS } from './jobs.ts'
import { LOOKUP_SCHEMAS } from './lookups.ts'
import { USAGE_SCHEMAS } from './usage.ts'
import { WATCHING_SCHEMAS } from './watching.ts'

/** `#/components/schemas`. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: {
    ...object({ error: text('What went wrong, for people.'), params: map({}, 'What it was about.') }, ['params']),
    description:
      'An error of the gateway at any path but those under `/v1/` and `/openai/`. Errors of a node pass through and look the same.',
  },
  OpenAiError: {
    ...object({
      error: object({
        message: text('What went wrong, for people.'),
        type: {
          type: 'string',
          enum: ['invalid_request_error', 'authentication_error', 'rate_limit_error', 'server_error'],
        },
        param: { type: ['string', 'null'] },
        code: {
          type: ['string', 'null'],
          description:
            'What went wrong, for programs: stable, and listed in src/http/README.md. Services may leave it `null`.',
        },
      }),
    }),
    description: 'An error of the gateway under `/v1/` and `/openai/`, as OpenAI’s clients read it.',
  },
  AnthropicError: {
    ...object({
      type: { type: 'string', enum: ['error'] },
      error: object({
        type: {
          type: 'string',
          enum: [
            ...['invalid_request_error', 'authentication_error', 'permission_error', 'not_found_error'],
            ...['request_too_large', 'rate_limit_error', 'api_error', 'overloaded_error'],
          ],
        },
        message: text('What went wrong, for people.'),
      }),
    }),
    description: 'An error of the gateway under `/v1/messages`, as Anthropic’s clients read it.',
  },
  ...JOB_SCHEMAS,
  ...LOOKUP_SCHEMAS,
  ...WATCHING_SCHEMAS,
  ...USAGE_SCHEMAS,
}
