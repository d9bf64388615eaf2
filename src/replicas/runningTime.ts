/** In so many parts time is measured, each of which ends with a look at what has arrived. */
const PARTS = 4

/**
 * Calls back after this time, ms, unless the function that it returns is called before. Counts only time in which this process ran:
 * while it was held up, what it waits for may have come long ago.
 */
export function afterRunningFor(ms: number, callBack: () => void): () => void {
  let isOver = false
  let left = PARTS
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    if (isOver) return
    if (left-- > 0) timer = setTimeout(setImmediate, ms / PARTS, look)
    else callBack()
  }
  look()
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}
