import { faultAnswers } from '../faultAnswers.ts'
import { object, text, type Answer, type Paths } from '../openApi.ts'

const tags = ['Watching']
const asText = (type: string): NonNullable<Answer['content']> => ({ [type]: { schema: text() } })

const LINKS = object({
  name: text('Always `infernet-gateway`.'),
  links: object({ dashboard: text(), docs: text(), openapi: text(), health: text() }),
})

/** Where somebody starts who knows no more than the address. */
export const WELCOME_PATHS: Paths = {
  '/': {
    get: {
      ...{ operationId: 'welcome', tags, summary: 'Links, as a page for browsers and as JSON for others, by `Accept`' },
      responses: {
        200: {
          description: 'Paths of the dashboard, of this description and of the health.',
          content: { 'application/json': { schema: LINKS }, ...asText('text/html') },
        },
        ...faultAnswers(),
      },
    },
  },
  '/docs': {
    get: {
      ...{ operationId: 'openDocs', tags, summary: 'This description as a page for people' },
      responses: {
        200: { description: 'A page that shows `/openapi.json`.', content: asText('text/html') },
        ...faultAnswers(),
      },
    },
  },
  '/docs/{file}': {
    get: {
      ...{ operationId: 'readDocsFile', tags, summary: 'What the page for people loads' },
      parameters: [
        {
          ...{ name: 'file', in: 'path', required: true, description: 'The name of a file.' },
          schema: { type: 'string', enum: ['swagger-ui.css', 'swagger-ui-bundle.js'] },
        },
      ],
      responses: {
        200: { description: 'The file.', content: { ...asText('text/css'), ...asText('text/javascript') } },
        ...faultAnswers('ERR_NOT_FOUND'),
      },
    },
  },
}
