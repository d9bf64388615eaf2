import { faultAnswers } from '../faultAnswers.ts'
import { json, named, text, type Operation, type Parameter, type Paths, type Schema } from '../openApi.ts'
import { ADMINS } from '../security.ts'

const tags = ['Operating']
const security = ADMINS
const NAME: Parameter = {
  name: 'name',
  in: 'path',
  required: true,
  description: "The backend's name as `/stats` shows it, URL-encoded.",
  schema: text(),
}
const GUARDED = ['ERR_NO_OPS_KEY', 'ERR_UNAUTHORIZED', 'ERR_LEDGER'] as const

function optional(name: string, description: string, schema: Schema): Parameter {
  return { name, in: 'query', description, schema }
}

function nodeCommand(operationId: string, summary: string, more: Pick<Operation, 'responses'>): Operation {
  return { operationId, tags, security, summary, parameters: [NAME], ...more }
}

/** What operators do. */
export const ADMIN_PATHS: Paths = {
  '/admin/jobs': {
    get: {
      ...{ operationId: 'browseJobs', tags, security, summary: 'Jobs of all callers, without requests and results' },
      parameters: [
        optional('state', 'Only these: `running`, `success` or `failed`.', {
          type: 'string',
          enum: ['running', 'success', 'failed'],
        }),
        optional('caller', 'Only of this caller: `name:…`, `key:…` or an address.', text()),
        optional('node', 'Only those whose latest run is there: the name as `/stats` shows it.', text()),
        optional('container', 'Only those with this container.', text()),
        optional('limit', 'Most jobs of a page; 50 by default.', { type: 'integer', minimum: 1 }),
        optional('after', '`next` of the page before.', text()),
      ],
      responses: {
        200: json(
          'Newest first. Each question looks at a bounded number of jobs: a page may be short, or empty, and not be the last.',
          named('JobsPage'),
        ),
        ...faultAnswers(...GUARDED),
      },
    },
  },
  '/admin/jobs/{id}': {
    get: {
      ...{ operationId: 'showJob', tags, security, summary: 'One job, without request and result' },
      parameters: [
        { name: 'id', in: 'path', required: true, description: 'As its client got it.', schema: text() } as const,
      ],
      responses: { 200: json('The job.', named('JobRecord')), ...faultAnswers(...GUARDED) },
    },
  },
  '/admin/usage': {
    get: {
      ...{ operationId: 'showUsage', tags, security, summary: 'Requests and tokens by day, caller and model' },
      parameters: [
        optional('from', 'The first day, in UTC; 29 days before `to` by default.', { type: 'string', format: 'date' }),
        optional('to', 'The last day, inclusive; today by default. At most 400 days in all.', {
          type: 'string',
          format: 'date',
        }),
        optional('caller', 'Only of this caller: `name:…`, `key:…` or an address.', text()),
        optional('model', 'Only of this model.', text()),
      ],
      responses: {
        200: json('What was used of OpenAI-compatible services. Kept for 400 days.', named('Usage')),
        ...faultAnswers(...GUARDED),
      },
    },
  },
  '/admin/nodes/{name}/drain': {
    post: nodeCommand('drainNode', 'Give a backend no new work', {
      responses: {
        200: json('It gets none, from this moment on and after a restart, until it is taken back.', named('Drain')),
        ...faultAnswers(...GUARDED),
      },
    }),
  },
  '/admin/nodes/{name}/undrain': {
    post: nodeCommand('undrainNode', 'Give a drained backend work again', {
      responses: {
        200: json('It gets work.', named('Drain')),
        ...faultAnswers(...GUARDED, 'ERR_DRAINED_BY_LIST'),
      },
    }),
  },
}
