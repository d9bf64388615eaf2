import type { Security } from './openApi.ts'

/** `#/components/securitySchemes`. */
export const SECURITY_SCHEMES = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'A key of `API_KEYS` or `KEYS_FILE`, where the operator has set any.',
  },
  apiKeyHeader: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same, in a header of its own.' },
  azureKeyHeader: {
    type: 'apiKey',
    in: 'header',
    name: 'api-key',
    description: "The same, as clients of Azure's send it.",
  },
  opsKey: { type: 'http', scheme: 'bearer', description: '`OPS_KEY`, where the operator has set one.' },
  opsPassword: { type: 'http', scheme: 'basic', description: '`OPS_KEY` as the password of any user, for browsers.' },
} as const

/** Keys are needed only where the operator has set some, which a description cannot know. */
const NONE_SET = {}

export const CLIENTS: Security = [{ apiKey: [] }, { apiKeyHeader: [] }, { azureKeyHeader: [] }, NONE_SET]
export const OPERATORS: Security = [{ opsKey: [] }, { opsPassword: [] }, NONE_SET]
/** Nobody, where no `OPS_KEY` is set. */
export const ADMINS: Security = [{ opsKey: [] }, { opsPassword: [] }]
