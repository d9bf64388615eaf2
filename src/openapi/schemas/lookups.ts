import { amount, flag, list, map, named, object, text, wholeNumber, type Schema } from '../openApi.ts'

const COST: Schema = {
  type: 'number',
  minimum: 0,
  default: 1,
  description: "Size of the request in the client's own unit. 0 says nothing and counts as 1.",
}
const ENDPOINT = text('A container id, several joined by commas, or a model; each of at most 256 bytes.')

const REQUEST_INDEX = wholeNumber('Names the request over all its tries; there where the question named it.')
const WORKERS = map(
  wholeNumber('Backends'),
  'How many backends are in which state: `healthy`, `unhealthy`, `total`, and `loading` where any report that.',
)

/** What two-step clients ask and hear. */
export const LOOKUP_SCHEMAS: Readonly<Record<string, Schema>> = {
  Addresses: { ...list(text()), examples: [['10.0.0.7:4000', 'https://node.example']] },
  Address: object({ ip: text() }),
  ContainerCounts: list(
    object({ id: text(), count: wholeNumber('How many healthy nodes run it.'), description: text() }, ['description']),
  ),
  ResourcesByNode: map(named('Resources'), 'By address.'),
  RouteRequest: object(
    {
      endpoint: ENDPOINT,
      api_key: text('Where no header shows one.'),
      cost: COST,
      request_idx: wholeNumber('The index that an earlier answer to the same request gave; 0 for the first try.'),
      replay_timeout: amount('For how long after this try the request may come again under its index, seconds.'),
    },
    ['api_key', 'cost', 'request_idx', 'replay_timeout'],
  ),
  Ticket: object(
    {
      url: text('The worker to go to.'),
      reqnum: wholeNumber('Grows by one for each worker, also across restarts.'),
      signature: text(
        'Base64 of RSA PKCS#1 v1.5 over SHA-256 of what Python’s `json.dumps(…, indent=4)` makes of `cost`, `endpoint`, ' +
          '`reqnum` and `url`, in this order, after reading them from this answer; of `url` alone where there is a `request_idx`.',
      ),
      endpoint: ENDPOINT,
      cost: COST,
      request_idx: REQUEST_INDEX,
    },
    ['request_idx'],
  ),
  NotYet: object({ endpoint: ENDPOINT, request_idx: REQUEST_INDEX, status: WORKERS }),
  NoWorker: object({
    error: text(),
    endpoint: ENDPOINT,
    status: WORKERS,
  }),
  WorkerReport: {
    ...object(
      {
        url: text('The address of the worker, as it is listed.'),
        loadtime: amount('How long loading took, seconds; 0 while it loads.'),
        max_perf: amount('What the worker can do; 0 while it loads.'),
        loaded: flag('Whether it has loaded, where it says so itself.'),
        loading: flag('The opposite.'),
        error_msg: text('Why it takes no requests; empty where it does.'),
        num_requests_working: wholeNumber('Requests that it works on.'),
      },
      ['loadtime', 'max_perf', 'loaded', 'loading', 'error_msg', 'num_requests_working'],
    ),
    description:
      'As workers of Vast’s SDK send it. Other members are ignored. One of the first four after `url` is needed.',
  },
  WorkerReportTaken: object({ workers: list(text()), ready: flag('Whether they get tickets from now on.') }),
}
