import { faultAnswers } from '../faultAnswers.ts'
import { json, named, text, type Answer, type Paths } from '../openApi.ts'
import { OPERATORS } from '../security.ts'

const tags = ['Watching']
const security = OPERATORS
const GUARDED = faultAnswers('ERR_UNAUTHORIZED')
const OPEN = faultAnswers()

const asText = (type: string, description: string): Answer => ({ description, content: { [type]: { schema: text() } } })

/** The gateway's own state. */
export const WATCHING_PATHS: Paths = {
  '/health': health('readHealth', 'Whether the gateway can serve, as a node answers it'),
  '/status': health('readStatus', 'The same as `/health`'),
  '/livez': {
    get: {
      ...{ operationId: 'isAlive', tags, summary: 'Whether the process runs' },
      responses: { 200: json('It does.', named('Alive')), ...OPEN },
    },
  },
  '/readyz': {
    get: {
      ...{ operationId: 'isReady', tags, summary: 'Whether it should get traffic' },
      responses: {
        200: json('It should, also while jobs cannot be recorded.', named('Readiness')),
        ...OPEN,
        503: json('Not now.', named('Readiness')),
      },
    },
  },
  '/services': {
    get: {
      ...{ operationId: 'listServices', tags, security, summary: 'Who is behind the gateway' },
      responses: { 200: json('All backends.', named('Services')), ...GUARDED },
    },
  },
  '/stats': {
    get: {
      ...{ operationId: 'readStats', tags, security, summary: 'How the backends do, and why each is chosen or not' },
      responses: { 200: json('Right now.', named('Stats')), ...GUARDED },
    },
  },
  '/metrics': {
    get: {
      ...{ operationId: 'readMetrics', tags, security, summary: 'Figures for Prometheus' },
      responses: { 200: asText('text/plain', "Prometheus's text format."), ...GUARDED },
    },
  },
  '/dashboard': {
    get: {
      ...{ operationId: 'openDashboard', tags, security, summary: 'The page for people' },
      responses: { 200: asText('text/html', 'A page that keeps itself up to date.'), ...GUARDED },
    },
  },
  '/openapi.json': {
    get: {
      ...{ operationId: 'describe', tags, summary: 'This description' },
      responses: { 200: json('OpenAPI 3.1.', { type: 'object', additionalProperties: true }), ...OPEN },
    },
  },
}

function health(operationId: string, summary: string): Paths[string] {
  return {
    get: {
      ...{ operationId, tags, summary },
      responses: {
        200: json('Something can be served; `degraded` tells whether only a part.', named('Health')),
        ...OPEN,
        503: json('No healthy backend, or draining.', named('Health')),
      },
    },
  }
}
