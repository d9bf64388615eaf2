import { statSync } from 'node:fs'

/** Tells whether paths still lead to the files that were there at first. */
export class FileIdentity {
  readonly #files: ReadonlyMap<string, string>

  constructor(paths: readonly string[]) {
    this.#files = new Map(paths.map((path) => [path, identityOf(path) ?? 'missing']))
  }

  /** True where a file was deleted or replaced. One that cannot be looked at counts as unchanged. */
  get hasChanged(): boolean {
    for (const [path, identity] of this.#files) {
      const now = identityOf(path)
      if (now !== undefined && now !== identity) return true
    }
    return false
  }
}

/** Device and inode; `missing`, or `undefined` where it cannot be known at the moment. */
function identityOf(path: string): string | undefined {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stats ? `${stats.dev}:${stats.ino}` : 'missing'
  } catch {
    return undefined
  }
}
