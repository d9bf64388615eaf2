import { faultAnswers } from '../faultAnswers.ts'
import { json, named, text, type Operation, type Parameter, type Paths } from '../openApi.ts'
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

function nodeCommand(operationId: string, summary: string, more: Pick<Operation, 'responses'>): Operation {
  return { operationId, tags, security, summary, parameters: [NAME], ...more }
}

/** What operators do. */
export const ADMIN_PATHS: Paths = {
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
