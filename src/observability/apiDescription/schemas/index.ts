import { map, object, text, type Schema } from '../openApi.ts'
import { JOB_SCHEMAS } from './jobs.ts'
import { LOOKUP_SCHEMAS } from './lookups.ts'
import { WATCHING_SCHEMAS } from './watching.ts'

/** `#/components/schemas`. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: {
    ...object({ error: text('What went wrong, for people.'), params: map({}, 'What it was about.') }, ['params']),
    description: 'Every error of the gateway. Errors of a node pass through and look the same.',
  },
  ...JOB_SCHEMAS,
  ...LOOKUP_SCHEMAS,
  ...WATCHING_SCHEMAS,
}
