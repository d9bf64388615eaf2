import { withTimeout } from '../base/index.ts'

/** A store that does not answer by then is done without, seconds. */
const STORE_SECONDS = 0.25

/** What a call to a shared store gives; undefined where there is none, or it fails or is late. */
export async function inTime<T>(call: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return call && (await withTimeout(call, STORE_SECONDS)) ? await call : undefined
  } catch {
    return undefined
  }
}
