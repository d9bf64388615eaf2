import { list, map, named, object, text, wholeNumber, type Schema } from '../openApi.ts'

const COST: Schema = {
  type: 'number',
  exclusiveMinimum: 0,
  default: 1,
  description: "Size of the request in the client's own unit.",
}
const ENDPOINT = text('A container id, several joined by commas, or a model; each of at most 256 bytes.')

/** What two-step clients ask and hear. */
export const LOOKUP_SCHEMAS: Readonly<Record<string, Schema>> = {
  Addresses: { ...list(text()), examples: [['10.0.0.7:4000', 'https://node.example']] },
  Address: object({ ip: text() }),
  ContainerCounts: list(
    object({ id: text(), count: wholeNumber('How many healthy nodes run it.'), description: text() }, ['description']),
  ),
  ResourcesByNode: map(named('Resources'), 'By address.'),
  RouteRequest: object({ endpoint: ENDPOINT, api_key: text('Where no header shows one.'), cost: COST }, [
    'api_key',
    'cost',
  ]),
  Ticket: object({
    url: text('The worker to go to.'),
    reqnum: wholeNumber('Grows by one for each worker, also across restarts.'),
    signature: text(
      'Base64 of RSA PKCS#1 v1.5 over SHA-256 of what Python’s `json.dumps(…, indent=4)` makes of `cost`, `endpoint`, ' +
        '`reqnum` and `url`, in this order, after reading them from this answer.',
    ),
    endpoint: ENDPOINT,
    cost: COST,
  }),
  NoWorker: object({
    error: text(),
    endpoint: ENDPOINT,
    status: map(wholeNumber('Backends'), 'How many backends are in which state: `healthy`, `unhealthy`, `total`.'),
  }),
}
