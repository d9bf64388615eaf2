/**
 * Ends a test's process when its event loop is empty, without the runtime's own clean-up: Node 24 can spin for ever in it
 * (`CleanupHandles`) over a socket that was destroyed with a large write under way. Nothing is skipped by this: whatever
 * keeps the loop alive still keeps the process alive, and the exit code stays. After an uncaught error the runtime goes its
 * own way, for it tells of the error last.
 */
let isUncaught = false
process.on('uncaughtExceptionMonitor', () => (isUncaught = true))
process.on('exit', () => {
  if (!isUncaught) process.exit()
})
