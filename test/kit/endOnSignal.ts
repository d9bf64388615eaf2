import { constants } from 'node:os'

/** Signals closer together than this are one: a terminal's Ctrl-C arrives by itself, and once more from npm, ms. */
const ONE_SIGNAL_MS = 1000

/** On SIGINT, SIGTERM or SIGHUP: runs `end`, then exits. A second signal, more than a second after the first, exits at once. */
export function endOnSignal(end: () => unknown): void {
  let startedAt: number | undefined
  const onSignal = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
    const exit = (): never => process.exit(128 + constants.signals[signal])
    if (startedAt !== undefined) {
      if (performance.now() - startedAt > ONE_SIGNAL_MS) exit()
      return
    }
    startedAt = performance.now()
    void Promise.resolve()
      .then(end)
      .then(exit, (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        exit()
      })
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // The terminal was closed.
  process.on('SIGHUP', onSignal)
}
