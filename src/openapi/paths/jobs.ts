import {
  BACKEND_FAULTS,
  BODY_FAULTS,
  CLIENT_FAULTS,
  faultAnswers,
  PUSHBACK_FAULTS,
  WORK_FAULTS,
} from '../faultAnswers.ts'
import { json, jsonBody, list, named, text, type Answer, type Answers, type Parameter, type Paths } from '../openApi.ts'
import { FROM_BACKEND, FROM_BACKEND_OR_KEPT, parameter } from '../parameters.ts'
import { CLIENTS } from '../security.ts'

const tags = ['Infernet']
const security = CLIENTS

const SUBMISSION_FAULTS = faultAnswers(
  ...WORK_FAULTS,
  ...BODY_FAULTS,
  'ERR_BAD_REQUEST',
  'ERR_JOB_REFUSED',
  'ERR_TOO_MANY_JOBS',
  'ERR_TOO_MANY_BYTES',
  'ERR_NO_NODE',
  'ERR_LEDGER',
  'ERR_LEDGER_FULL',
  ...BACKEND_FAULTS,
  ...PUSHBACK_FAULTS,
)
const KEYED_FAULTS: Answers = { ...SUBMISSION_FAULTS, ...faultAnswers('ERR_KEY_REUSED') }

const BATCH_FAULTS: Answers = { ...KEYED_FAULTS, ...faultAnswers('ERR_BODY_TOO_LARGE', 'ERR_BATCH_TOO_LARGE') }

const ID_PARAMETERS: readonly Parameter[] = [
  {
    name: 'id',
    in: 'query',
    description: "Ids, one parameter for each. Ids of others' jobs, and unknown ones, are left out of the answer.",
    schema: list(text()),
  },
  {
    name: 'intermediate',
    in: 'query',
    description: 'With ids: whether to tell what the containers before the last put out.',
    schema: { type: 'boolean', default: false },
  },
  {
    name: 'pending',
    in: 'query',
    description: 'Without ids: only unfinished jobs, or only finished ones.',
    schema: { type: 'boolean' },
  },
  {
    name: 'limit',
    in: 'query',
    description: 'Without ids: the maximum number of ids, in the order in which the jobs came.',
    schema: { type: 'integer', minimum: 0 },
  },
  {
    name: 'after',
    in: 'query',
    description: 'Without ids: only ids of jobs that came after this one of yours.',
    schema: text(),
  },
]

const WAIT: Parameter = {
  name: 'wait',
  in: 'query',
  description:
    'With ids: the answer waits until one of those that have not ended has, at most so many seconds; over 60 counts as 60.',
  schema: { type: 'number', minimum: 0 },
}

const STREAM: Answer = {
  description:
    "The job's id and a newline, at once and as a piece of its own; then the output as it comes. The connection is broken " +
    'where the output broke off. Leaving cancels the job.',
  headers: FROM_BACKEND,
  content: { 'text/html': { schema: text() } },
}

const PREFERENCE_APPLIED = { 'Preference-Applied': { $ref: '#/components/headers/Preference-Applied' } }
const WAITED_FOR = { ...FROM_BACKEND_OR_KEPT, ...PREFERENCE_APPLIED }

/** The Infernet API, as one node has it. */
export const JOB_PATHS: Paths = {
  '/api/jobs': {
    post: {
      ...{ operationId: 'submitJob', tags, security, summary: 'Run a job, or hand in a delegated subscription' },
      description:
        'It goes to the best healthy node that runs all its containers. Answered as soon as a node has taken it and it is ' +
        'recorded, or, where `Prefer: wait` is sent, when it has ended. Any content type is read as JSON.',
      parameters: [
        parameter('IdempotencyKey'),
        parameter('Cost'),
        parameter('Priority'),
        parameter('Failover'),
        parameter('Prefer'),
      ],
      requestBody: jsonBody(named('Submission')),
      responses: {
        200: json(
          'Taken, or ended.',
          { anyOf: [named('Accepted'), named('Subscribed'), named('JobStatus')] },
          WAITED_FOR,
        ),
        ...KEYED_FAULTS,
      },
    },
    get: {
      ...{ operationId: 'readJobs', tags, security, summary: "How the caller's own jobs are, or which there are" },
      description: 'On whatever node they ran. With ids: in the order asked.',
      parameters: [...ID_PARAMETERS, WAIT, parameter('Prefer')],
      responses: {
        200: json(
          'With ids what is known of them; without, ids.',
          { anyOf: [list(named('JobStatus')), list(text())] },
          PREFERENCE_APPLIED,
        ),
        ...faultAnswers(...CLIENT_FAULTS, 'ERR_BAD_REQUEST', 'ERR_LEDGER'),
      },
    },
  },
  '/api/jobs/batch': {
    post: {
      ...{ operationId: 'submitBatch', tags, security, summary: 'Run many jobs' },
      description:
        'Each goes to the node that suits it best. For the limits a batch counts as many requests as it has items. Where nothing could be accepted, all for one reason that is not the ' +
        "client's, that reason is the answer to the whole.",
      parameters: [parameter('IdempotencyKey'), parameter('Cost'), parameter('Priority'), parameter('Failover')],
      requestBody: jsonBody({ ...list(named('Submission')), maxItems: 10_000 }),
      responses: {
        200: json(
          'One answer for each item, in order.',
          list({ oneOf: [named('Accepted'), named('Subscribed'), named('Error')] }),
          FROM_BACKEND_OR_KEPT,
        ),
        ...BATCH_FAULTS,
      },
    },
  },
  '/api/jobs/stream': {
    post: {
      ...{ operationId: 'streamJob', tags, security, summary: 'Run a job and get its output as it comes' },
      description: 'Only its first container runs. No subscriptions.',
      parameters: [parameter('Cost'), parameter('Priority'), parameter('Failover')],
      requestBody: jsonBody(named('Job')),
      responses: { 200: STREAM, ...SUBMISSION_FAULTS },
    },
  },
  '/api/status': {
    put: {
      ...{ operationId: 'reportStatus', tags, security, summary: 'A container tells how its job is' },
      description: 'Goes on to the node that has the job. Only from the addresses in `STATUS_ALLOWED_IPS`.',
      requestBody: jsonBody(named('StatusReport')),
      responses: {
        200: json('Taken by the node, whose answer this is.', {}, FROM_BACKEND),
        ...faultAnswers(
          ...CLIENT_FAULTS,
          ...BODY_FAULTS,
          'ERR_FORBIDDEN',
          'ERR_NOT_FOUND',
          'ERR_LEDGER',
          ...BACKEND_FAULTS,
        ),
      },
    },
  },
  '/info': {
    get: {
      ...{ operationId: 'readInfo', tags, security, summary: 'The fleet as one node' },
      responses: { 200: json('From the last polls.', named('Info')), ...faultAnswers(...CLIENT_FAULTS) },
    },
  },
  '/resources': {
    get: {
      ...{ operationId: 'readResources', tags, security, summary: 'What any node of the fleet can do' },
      parameters: [parameter('ModelId')],
      responses: {
        200: json('The union of all healthy nodes; `supported` if any node says so.', named('Resources')),
        ...faultAnswers(...CLIENT_FAULTS),
      },
    },
  },
}
