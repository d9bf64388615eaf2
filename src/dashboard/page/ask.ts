/** Asks the gateway that the page came from, with the key that its form was given. */

const TIMEOUT_MS = 5000
const STORED = 'infernet-gateway ops key'
/** Where the gateway is, also behind a proxy that gives it a path of its own. */
export const HOME = location.origin + location.pathname.replace(/dashboard\/*$/, '')

let key = readKey()

/** Kept for this tab alone; a browser that allows no storage forgets it with the page. */
function readKey(): string {
  try {
    return sessionStorage.getItem(STORED) ?? ''
  } catch {
    return ''
  }
}

/** The key that the page's form was given; empty for the browser's own. */
export function keyInUse(): string {
  return key
}

export function keepKey(given: string): void {
  key = given
  try {
    if (key) sessionStorage.setItem(STORED, key)
    else sessionStorage.removeItem(STORED)
  } catch {
    // It serves as long as the page is open.
  }
}

/** `path` is below where the gateway is. @throws Error for people, where there is no answer in JSON */
export async function ask<T>(path: string, method = 'GET'): Promise<{ status: number; body: T }> {
  // Without a key of ours the browser sends the one that it opened the page with.
  const headers = { Accept: 'application/json', ...(key && { Authorization: 'Bearer ' + key }) }
  const options: RequestInit = { method, headers, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) }
  const answer = await fetch(HOME + path, options).catch(() => {
    throw new Error('No connection to the gateway')
  })
  const body = (await answer.json().catch(() => {
    throw new Error('The gateway does not answer as it should')
  })) as T
  return { status: answer.status, body }
}
