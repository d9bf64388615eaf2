import { list, object, text, wholeNumber, type Schema } from '../openApi.ts'

const day: Schema = { type: 'string', format: 'date' }

/** What `GET /admin/usage` answers. */
export const USAGE_SCHEMAS = {
  Usage: object({
    from: { ...day, description: 'The first day that was asked for, in UTC.' },
    to: { ...day, description: 'The last one, inclusive.' },
    usage: list(usageRow(), 'Sorted by day, caller and model. Days without requests have no rows.'),
  }),
}

function usageRow(): Schema {
  return object({
    day: { ...day, description: 'In UTC: the day on which the answers ended.' },
    caller: text(
      '`name:…`, `key:…`, an address, or of IPv6 addresses the network; `(other)` where too many callers had requests that day.',
    ),
    model: text('As clients name it; `(other)` for those of a caller beyond 200 a day.'),
    requests: wholeNumber('Requests that a service answered to their end with a status below 400.'),
    prompt_tokens: wholeNumber('As the answers told them, cached ones included.'),
    completion_tokens: wholeNumber('As the answers told them.'),
    cached_tokens: wholeNumber('Those of the prompts that came from a prefix cache.'),
  })
}
