import { amount, list, object, text, wholeNumber, type Schema } from '../openApi.ts'

const PRIORITY: Schema = { type: 'string', enum: ['high', 'normal', 'low'] }
const COUNT: Schema = { type: 'integer', minimum: 0 }
const share = (type: string | readonly string[], description: string): Schema => ({
  type,
  minimum: 0,
  maximum: 1,
  description,
})

const CALLER = object({
  caller: text('`name:…` of KEYS_FILE, `key:…`, the digest of a key of API_KEYS, or an address.'),
  priority: PRIORITY,
  weight: amount('What it gets of the work, over what others get.'),
  waiting: wholeNumber('Its requests that wait.'),
  running: wholeNumber('Its requests that backends work on, of all priorities.'),
  longest_wait: amount('How long its oldest waiting request has waited, seconds; 0 where none waits.'),
  recent_work: amount(
    'Work that it got within about the last minute, fading: tokens where services count them, else seconds of service.',
  ),
  loss_ratio: share(
    'number',
    'Part of its requests that left or timed out before they were done, recent ones counting most.',
  ),
})

const POOL = object({
  name: { ...text('The model or the containers.'), examples: ['model llama3'] },
  waiting: wholeNumber('Its requests that wait.'),
  longest_wait: amount('How long the request that has waited longest has done so, seconds; 0 where none waits.'),
  idle_places: wholeNumber('Places that are free at its backends while requests wait: normally 0.'),
  priorities: {
    ...object({ high: COUNT, normal: COUNT, low: COUNT }),
    description: 'Waiting requests by priority.',
  },
  fairness: share(
    ['number', 'null'],
    "Jain's index of the recent work of the callers that waited, over their weights: 1 where all got the same, 1/n where one of n got all. Null where fewer than two waited.",
  ),
  callers: list(
    CALLER,
    'Those that wait, the next one first, once for each priority; then those that only have work under way. At most 20.',
  ),
})

/** What `/stats` tells of requests that wait for a place at a backend. */
export const QUEUE: Schema = {
  ...object({
    waiting: wholeNumber('Requests that wait for a place at a backend, or for one that is away.'),
    limit: wholeNumber('Requests that may wait: `QUEUE_SIZE`; of several workers, all together.'),
    pools: list(
      POOL,
      'Requests that ask for the same, and so wait for the same backends: those with waiting requests first, the longest queue first. At most 100.',
    ),
  }),
  type: ['object', 'null'],
  description: 'Null where requests never wait (`QUEUE_SIZE=0`).',
}
