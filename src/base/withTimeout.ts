/** Waits for `work`, but no longer than `seconds`. Returns whether it ended in time; rejects where it does by then. */
export async function withTimeout(work: Promise<unknown>, seconds: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const timer = setTimeout(resolve, seconds * 1000, false)
  // After the time is up these do nothing, so a late rejection is heard all the same.
  work.then(() => resolve(true), reject)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}
