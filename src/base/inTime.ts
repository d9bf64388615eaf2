import { withTimeout } from './withTimeout.ts'

/** How long a call to a shared store may take by default, seconds: clients wait for it. */
const STORE_SECONDS = 0.25

/** What a call to a shared store returns; undefined where there is none, or it fails or is late. */
export async function inTime<T>(call: Promise<T> | undefined, seconds = STORE_SECONDS): Promise<T | undefined> {
  try {
    return call && (await withTimeout(call, seconds)) ? await call : undefined
  } catch {
    return undefined
  }
}
