import type { IncomingHttpHeaders } from 'node:http'
import { PrefixChain } from '../../dispatch/index.ts'
import { ANSWER_LIMITS, memberOf, scanObject, stringAt, type JsonMember } from '../../json/index.ts'

/** Headers that name a session, in the order in which they count: the common one, then those of coding agents. */
const SESSION_HEADERS = [
  'x-session-id',
  'x-claude-code-session-id',
  'session-id',
  // Older versions of the same agents.
  'session_id',
  'x-session-affinity',
  'x-opencode-session',
] as const

/** A longer `metadata` names no session that we know, bytes. */
const LONGEST_METADATA = 8 * 1024

/** `metadata.user_id` of agents: older ones write a text that ends so, newer ones JSON. */
const LEGACY_USER_ID = /_session_([0-9a-f-]{8,64})$/i

/** A request, as far as it may name its session. */
interface MayNameSession {
  /** By `prompt_cache_key` or `user`. */
  readonly session: string | undefined
  /** Where its body is JSON. */
  readonly members?: readonly JsonMember[]
}

/**
 * The session that a request names, by the one rule for all paths: `prompt_cache_key`, else `user`, else a header, else
 * `metadata.user_id`.
 */
export function sessionOf(
  { session, members }: MayNameSession,
  bytes: Buffer,
  headers: IncomingHttpHeaders,
): string | undefined {
  return session ?? sessionOfHeaders(headers) ?? (members && sessionOfMetadata(bytes, members))
}

function sessionOfHeaders(headers: IncomingHttpHeaders): string | undefined {
  for (const name of SESSION_HEADERS) {
    const value = headers[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return undefined
}

/** As agents write it. A user's mere name is no session. */
function sessionOfMetadata(bytes: Buffer, members: readonly JsonMember[]): string | undefined {
  const metadata = memberOf(members, 'metadata')
  if (metadata?.kind !== 'object' || metadata.end - metadata.start > LONGEST_METADATA) return undefined
  const userId = memberOf(scanObject(bytes, metadata.start, metadata.end, ANSWER_LIMITS), 'user_id')
  if (userId?.kind !== 'string') return undefined
  const text = stringAt(bytes, userId)
  return text.startsWith('{') ? sessionOfJson(text) : LEGACY_USER_ID.exec(text)?.[1]
}

function sessionOfJson(text: string): string | undefined {
  try {
    const { session_id: session } = JSON.parse(text) as { session_id?: unknown }
    return typeof session === 'string' && session !== '' ? session : undefined
  } catch {
    return undefined
  }
}

/** Stands for a session. 52 bits. */
export function numberOfSession(session: string): number {
  const chain = new PrefixChain()
  chain.addUnit(0)
  chain.add(session)
  return chain.state
}
