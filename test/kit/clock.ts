/** A wall clock that a test sets while a process runs; its monotonic clock and its timers go on as they are. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tempDir } from './wait.ts'
import type { Cleanup } from './wait.ts'

const PRELOAD = fileURLToPath(new URL('clockPreload.ts', import.meta.url))

export interface WallClock {
  /** What a process needs in its environment to go by this clock, in its worker threads too. */
  readonly env: { NODE_OPTIONS: string; TEST_CLOCK_FILE: string }
  /** Sets the clock to so many seconds after the true time, or before it where that is negative. At once. */
  set(offsetSeconds: number): void
}

/** A clock that shows the true time until it is set. */
export async function wallClock(t: Cleanup): Promise<WallClock> {
  const file = join(await tempDir(t), 'offset-ms')
  const set = (offsetSeconds: number): void => writeFileSync(file, String(offsetSeconds * 1000))
  set(0)
  return { env: { NODE_OPTIONS: `--import ${PRELOAD}`, TEST_CLOCK_FILE: file }, set }
}
