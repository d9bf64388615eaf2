/**
 * Loaded into the gateway with `--import`: on SIGUSR2 writes the longest turn of the event loop since the last one, in CPU time
 * of its thread, so that other processes of the machine do not count. Timers fire once a turn.
 */
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  let longestMs = 0
  let before = process.threadCpuUsage()
  const look = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longestMs = Math.max(longestMs, (user + system) / 1000)
    before = process.threadCpuUsage()
  }
  setInterval(look, 1).unref()
  process.on('SIGUSR2', () => {
    look()
    process.stdout.write(`${JSON.stringify({ message: 'longest turn', ms: longestMs })}\n`)
    longestMs = 0
  })
}
