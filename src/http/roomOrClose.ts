import type { ServerResponse } from 'node:http'

/** Resolves when there is room for the next write, or when the response has closed. */
export function roomOrClose(res: ServerResponse): Promise<void> {
  if (res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      res.off('drain', settle).off('close', settle)
      resolve()
    }
    res.on('drain', settle).on('close', settle)
  })
}
