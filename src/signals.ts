import { closeSync, openSync } from 'node:fs'
import type { Logger } from './observability/logger.ts'

/** Two signals closer together than this are one: a terminal's Ctrl-C arrives by itself, and once more from npm, ms. */
const ONE_SIGNAL_MS = 1000

/** What signals command. */
export interface Commanded {
  /** Lets running requests finish, at most as long as set, then ends everything. */
  stop(): Promise<void>
  /** Rereads all files. */
  reread(): void
  /** Replaces the workers in turn; undefined where there is one process. */
  readonly rotate: (() => Promise<void>) | undefined
}

/** SIGTERM and SIGINT drain, a second one ends at once; SIGHUP rereads all files; SIGUSR2 replaces the workers. */
export function commandBySignals(starting: Promise<Commanded>, logger: Logger, drainTimeoutSeconds: number): void {
  let stoppingSinceMs: number | undefined
  const started = starting.catch(() => undefined)
  const exit = async (code: number): Promise<void> => {
    await logger.flush()
    process.exit(code)
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs < ONE_SIGNAL_MS) return
      logger.warn('ended at once', { signal })
      // Workers are killed with this process.
      return exit(1)
    }
    stoppingSinceMs = performance.now()
    logger.info('draining', { signal, timeoutSeconds: drainTimeoutSeconds })
    const commanded = await started
    // One that cannot start is ended by its caller, which says why.
    if (!commanded) return
    await commanded.stop()
    logger.info('stopped')
    return exit(0)
  }
  const onHangUp = (signal: NodeJS.Signals): void => {
    if (hasLostTerminal()) return void end(signal)
    logger.info('rereading all files', { signal })
    void started.then((commanded) => commanded?.reread())
  }
  const replace = async (signal: NodeJS.Signals): Promise<void> => {
    const commanded = await started
    if (!commanded || stoppingSinceMs !== undefined) return
    if (!commanded.rotate) return logger.info('ignored: there are no workers to replace', { signal })
    logger.info('replacing all workers', { signal })
    await commanded.rotate()
  }
  process.on('SIGTERM', (signal) => void end(signal))
  process.on('SIGINT', (signal) => void end(signal))
  process.on('SIGHUP', onHangUp)
  process.on('SIGUSR2', (signal) => void replace(signal))
}

/** Whether the terminal that this process was started on has been closed, for which the system sends SIGHUP too. */
function hasLostTerminal(): boolean {
  if (!process.stdout.isTTY) return false
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return false
  } catch {
    return true
  }
}
