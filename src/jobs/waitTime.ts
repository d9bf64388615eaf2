import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'

/** Longest time that a request waits for a job, seconds. */
const LONGEST_WAIT_SECONDS = 60

/** A longer header is ignored, characters: preferences are short. */
const LONGEST_HEADER = 1000
const WAIT = /^\s*wait\s*=\s*(?:"(\d+)"|(\d+))\s*(?:;.*)?$/i
const NAMES_WAIT = /^\s*wait\s*(?:[=;]|$)/i

/** How long a client wants to wait for the end of a job. */
export interface WaitTime {
  /** 0 where it does not. */
  readonly seconds: number
  /** The value of `Preference-Applied` where a header asked for it. */
  readonly applied?: string
}

export const NOT_AT_ALL: WaitTime = { seconds: 0 }

/** `Prefer: wait=SECONDS` (RFC 7240, 4.3). One that cannot be understood is ignored, as preferences are; the first one counts. */
export function preferredWait(req: Request): WaitTime {
  const header = req.headers['prefer']
  if (header === undefined) return NOT_AT_ALL
  const text = Array.isArray(header) ? header.join() : header
  if (text.length > LONGEST_HEADER) return NOT_AT_ALL
  const first = preferencesIn(text).find((preference) => NAMES_WAIT.test(preference))
  const match = first === undefined ? null : WAIT.exec(first)
  if (!match) return NOT_AT_ALL
  const seconds = Math.min(Number(match[1] ?? match[2]), LONGEST_WAIT_SECONDS)
  return seconds === 0 ? NOT_AT_ALL : { seconds, applied: `wait=${seconds}` }
}

/** Preferences with their values and parameters (RFC 7240, 2). A comma within quotes separates nothing. */
function preferencesIn(text: string): string[] {
  const preferences: string[] = []
  let start = 0
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (isQuoted && character === '\\') at++
    else if (character === '"') isQuoted = !isQuoted
    else if (character === ',' && !isQuoted) {
      preferences.push(text.slice(start, at))
      start = at + 1
    }
  }
  preferences.push(text.slice(start))
  return preferences
}

/**
 * `wait=SECONDS` of the query, else the preferred one.
 *
 * @throws GatewayFault ERR_BAD_REQUEST where it is not a number ≥ 0
 */
export function waitTimeOf(req: Request, query: URLSearchParams): WaitTime {
  const text = query.get('wait')
  if (text === null) return preferredWait(req)
  if (!/^\d+(\.\d+)?$/.test(text)) {
    throw new GatewayFault(
      'ERR_BAD_REQUEST',
      `wait must be a number of seconds ≥ 0; more than ${LONGEST_WAIT_SECONDS} counts as ${LONGEST_WAIT_SECONDS}`,
      {
        params: { wait: text.slice(0, 100) },
      },
    )
  }
  return { seconds: Math.min(Number(text), LONGEST_WAIT_SECONDS) }
}
