import { flag, list, map, named, object, text, wholeNumber, type Schema } from '../openApi.ts'

const JOB_ID = text('Id of the job, for `GET /api/jobs`.')
const CONTAINERS = list(
  text(),
  'Containers that run one after the other, each on what the one before it put out. Ids have at most 256 bytes.',
)
const DATA = map({}, 'Input of the first container, never looked into.')
const REQUIRES_PROOF: Schema = { type: ['boolean', 'null'] }
const STATUS: Schema = { type: 'string', enum: ['running', 'success', 'failed'] }

/** What is sent to run something, and what is heard of it. */
export const JOB_SCHEMAS: Readonly<Record<string, Schema>> = {
  Job: {
    ...object({ containers: { ...CONTAINERS, minItems: 1 }, data: DATA, requires_proof: REQUIRES_PROOF }, [
      'requires_proof',
    ]),
    description: 'Other members go to the node as they came. `id`, `ip` and `type` are refused.',
  },
  Subscription: {
    ...object(
      {
        subscription: map({}, '`containers` in it is the hash of the container ids.'),
        signature: map({}, '`r` and `s` are 256-bit integers; they are passed on as they are spelt.'),
        data: DATA,
        requires_proof: REQUIRES_PROOF,
      },
      ['requires_proof'],
    ),
    description: 'A delegated subscription. Its results go on-chain. Other members as for a job.',
  },
  Submission: { oneOf: [named('Job'), named('Subscription')] },
  Accepted: object({ id: JOB_ID }),
  Subscribed: { type: 'object', additionalProperties: false, description: 'A subscription has no id.' },
  JobStatus: object(
    {
      id: JOB_ID,
      status: STATUS,
      result: {
        type: ['object', 'null'],
        properties: {
          container: text('The container that put it out, or that failed.'),
          output: { description: "The container's output, byte for byte as the node told it." },
          error: { description: 'Why it failed.' },
        },
        description: 'What the node told; `null` while the job runs.',
      },
      intermediate_results: list({}, 'What the containers before the last put out; with `intermediate=true`.'),
    },
    ['intermediate_results'],
  ),
  StatusReport: object(
    {
      id: JOB_ID,
      status: STATUS,
      containers: CONTAINERS,
      data: { description: 'What the container has to say.' },
    },
    ['data'],
  ),
  Container: object({
    id: text(),
    description: text(),
    external: flag('Whether it may come first in a job.'),
    image: text(),
  }),
  Info: {
    ...object({
      version: text('The newest of the nodes.'),
      containers: list(named('Container'), 'All that run on any healthy node.'),
      pending: object({
        offchain: wholeNumber('Jobs, over all healthy nodes, by the last polls.'),
        onchain: wholeNumber('Subscriptions, likewise.'),
      }),
      chain: object({ enabled: flag('Whether any node takes subscriptions.'), address: text() }),
    }),
    description: "The fleet as if it were one node, in the shape of a node's own answer.",
  },
  Resources: map(
    map({}, "As the node told it. With `model_id`: `supported`, and `error` where it isn't."),
    'By container: hardware and models.',
  ),
}
