import type { RequestHandler } from 'express'
import { ANY_FAULTS, FAULT_EXAMPLES, RESPONSE_HEADERS } from './faultAnswers.ts'
import { PARAMETERS } from './parameters.ts'
import { ADMIN_PATHS } from './paths/admin.ts'
import { JOB_PATHS } from './paths/jobs.ts'
import { LOOKUP_PATHS } from './paths/lookups.ts'
import { OPENAI_PATHS } from './paths/openai.ts'
import { RESPONSE_PATHS } from './paths/responses.ts'
import { WATCHING_PATHS } from './paths/watching.ts'
import { WELCOME_PATHS } from './paths/welcome.ts'
import { SCHEMAS } from './schemas/index.ts'
import { SECURITY_SCHEMES } from './security.ts'

const OVERVIEW = `One address for a fleet of Infernet nodes and OpenAI-compatible services.

- A trailing slash makes no difference. HEAD is answered as GET, OPTIONS with the methods in \`Allow\`.
- Every error is JSON. Under \`/v1/\` and \`/openai/\` it has OpenAI's shape, \`{"error": {"message", "type", "param", "code"}}\`,
  under \`/v1/messages\` Anthropic's, everywhere else \`{"error", "params"?}\`. A backend's own answers pass through as they are.
- The \`code\` of an error in OpenAI's shape is stable: the examples of each answer name those that may come with it.
- Every answer has an \`X-Request-Id\`: the client's own where it sent one of 1 to 128 of \`A-Za-z0-9._-\`.
- An answer that broke off is broken off for the client too, never ended as if complete.
- Every POST below \`/v1/\` whose body has a \`model\` is forwarded, also those not described here, and so is every POST below
  \`/openai/deployments/{model}/\`.
- \`/openai/…\` and \`/openai/v1/…\`, where clients of Azure's SDKs send everything else, are the same as \`/v1/…\`.`

const TAGS = [
  { name: 'Infernet', description: 'The API of an Infernet node, at one address.' },
  { name: 'OpenAI-compatible', description: 'Requests that are routed by their model.' },
  { name: 'Look-ups', description: 'For clients that go to a node themselves.' },
  { name: 'Watching', description: "The gateway's own state." },
  { name: 'Operating', description: 'For those who have the `OPS_KEY`, where it is set.' },
]

/** The gateway's whole API in OpenAPI 3.1. */
export function describeApi(version: string): object {
  return {
    openapi: '3.1.1',
    info: {
      title: 'Infernet Gateway',
      version,
      description: OVERVIEW,
      license: { name: 'BSD-3-Clause-Clear', identifier: 'BSD-3-Clause-Clear' },
    },
    servers: [{ url: '/' }],
    // Open, unless an operation says otherwise.
    security: [],
    tags: TAGS,
    paths: {
      ...JOB_PATHS,
      ...OPENAI_PATHS,
      ...RESPONSE_PATHS,
      ...LOOKUP_PATHS,
      ...WATCHING_PATHS,
      ...WELCOME_PATHS,
      ...ADMIN_PATHS,
    },
    components: {
      schemas: SCHEMAS,
      parameters: PARAMETERS,
      headers: RESPONSE_HEADERS,
      examples: FAULT_EXAMPLES,
      responses: ANY_FAULTS,
      securitySchemes: SECURITY_SCHEMES,
    },
  }
}

/** `GET /openapi.json`, open to everybody. */
export function apiDescriptionPage(description: object): RequestHandler {
  const body = Buffer.from(JSON.stringify(description))
  return (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length })
    res.end(body)
  }
}
