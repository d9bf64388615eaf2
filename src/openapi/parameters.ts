import type { Answer, Parameter, Reference } from './openApi.ts'

/** `#/components/parameters`. */
export const PARAMETERS: Readonly<Record<string, Parameter>> = {
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'The same key, caller and path within a day is the same job: the first accepted answer is given again. It also ' +
      'lets the gateway try another node after a connection broke, at the risk of a second run.',
    schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
  },
  Cost: {
    name: 'X-Infernet-Cost',
    in: 'header',
    description: "A hint at the job's size, in any unit of the client's own: large jobs prefer fast nodes.",
    schema: { type: 'number', exclusiveMinimum: 0 },
  },
  Priority: {
    name: 'X-Priority',
    in: 'header',
    description: "Lowers the priority of the caller's key while the request waits for a place. It never raises it.",
    schema: { type: 'string', enum: ['high', 'normal', 'low'] },
  },
  Failover: {
    name: 'X-Infernet-Failover',
    in: 'header',
    description: 'With `off` a job that is lost with its node is `failed`, instead of being run again elsewhere.',
    schema: { type: 'string', enum: ['on', 'off'], default: 'on' },
  },
  Prefer: {
    name: 'Prefer',
    in: 'header',
    description:
      '`wait=SECONDS` (RFC 7240): the answer waits until a job has ended, at most so long; over 60 counts as 60. ' +
      '`Preference-Applied` says that it did. What cannot be understood is ignored.',
    schema: { type: 'string' },
  },
  ModelId: {
    name: 'model_id',
    in: 'query',
    description: 'Asks whether containers support this model, instead of what they have. At most 256 bytes.',
    schema: { type: 'string' },
  },
}

export function parameter(name: keyof typeof PARAMETERS): Reference {
  return { $ref: `#/components/parameters/${name}` }
}

/** `container=A&container=B`. */
export function containerParameter(required: boolean): Parameter {
  return {
    name: 'container',
    in: 'query',
    description:
      'Container ids, one parameter for each: a node has to run all of them. The first must be external. Each has at most 256 bytes.',
    ...(required && { required }),
    schema: { type: 'array', items: { type: 'string' }, ...(required && { minItems: 1 }) },
  }
}

/** Headers of an answer that a backend had a part in. The limit is the gateway's own. */
export const FROM_BACKEND: NonNullable<Answer['headers']> = Object.fromEntries(
  [
    'X-Infernet-Node',
    'X-Routing-Reason',
    'X-Queue-Ms',
    'RateLimit-Limit',
    'RateLimit-Remaining',
    'RateLimit-Reset',
  ].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
)
export const FROM_BACKEND_OR_KEPT: NonNullable<Answer['headers']> = {
  ...FROM_BACKEND,
  'Idempotent-Replayed': { $ref: '#/components/headers/Idempotent-Replayed' },
}
