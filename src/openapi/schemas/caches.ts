import { list, object, wholeNumber, type Schema } from '../openApi.ts'

/** A time; null where there is none. */
export const seconds = (description: string): Schema => ({ type: ['number', 'null'], description })
const share = (description: string): Schema => ({ type: ['number', 'null'], minimum: 0, maximum: 1, description })

/** Use of prompt caches in the last 15 minutes. */
export const CACHES = {
  cache_hit_rate: share(
    'Cached prompt tokens over all, of answers that said how many were cached; null where none did.',
  ),
  warm_share: share(
    'Requests that went to a service which was believed to have part of their prompt in its cache, over all of which anything was believed; null where there were none.',
  ),
  first_token_p50: seconds('Median time from sending a request to the first token of its stream, seconds.'),
  first_token_p95: seconds('The time that 95 % of them did not exceed.'),
} as const

/** The same by service and model. */
export const CACHE_ROWS: Schema = list(
  object({
    service: { type: ['string', 'null'], description: 'Its name. Null: all others together.' },
    model: { type: ['string', 'null'], description: 'Null: all others together.' },
    prompt_tokens: wholeNumber('Of answers that said how many were cached.'),
    cached_tokens: wholeNumber('Those of them that were cached.'),
    requests: wholeNumber('Requests for which it was known whether the service was believed to be warm.'),
    warm: wholeNumber('Those of them for which it was.'),
    ...CACHES,
  }),
  'How prompt caches were used in the last 15 minutes, by service and model, the busiest first, at most 200.',
)
