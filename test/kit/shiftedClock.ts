/** A process whose wall clock a test sets. Its monotonic clock goes on by itself. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir, type Cleanup } from './wait.ts'

export interface ShiftedClock {
  /** Environment of the process. */
  readonly env: Record<string, string>
  /** Sets the clock that many milliseconds ahead of the true one; it shows that from the next reading on. */
  set(aheadMs: number): void
}

/** Read by each reading of the clock: a test that has written it can rely on that. */
const preload = (file: string, self: string): string => `
  const { readFileSync } = await import('node:fs')
  const threads = await import('node:worker_threads')
  const { syncBuiltinESMExports } = await import('node:module')
  const True = Date
  const aheadMs = () => Number(readFileSync(${JSON.stringify(file)}, 'utf8'))
  globalThis.Date = class Date extends True {
    constructor(...values) {
      super(...(values.length === 0 ? [True.now() + aheadMs()] : values))
    }
    static now() {
      return True.now() + aheadMs()
    }
  }
  // The threads of the process have clocks of their own.
  const { Worker } = threads.default
  threads.default.Worker = class extends Worker {
    constructor(script, options) {
      super(script, { ...options, execArgv: ['--import', ${JSON.stringify(self)}] })
    }
  }
  syncBuiltinESMExports()
`

export async function shiftedClock(t: Cleanup): Promise<ShiftedClock> {
  const folder = await tempDir(t)
  const file = join(folder, 'ahead')
  const self = join(folder, 'clock.mjs')
  const set = (aheadMs: number): void => writeFileSync(file, String(aheadMs))
  set(0)
  writeFileSync(self, preload(file, self))
  return { env: { NODE_OPTIONS: `--import=${self}` }, set }
}
