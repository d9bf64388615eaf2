import type { Cleanup } from './wait.ts'

/** What has to be undone: processes to end, directories to remove. Stands in for the context of a test. */
export class Cleanups implements Cleanup {
  readonly #undo: (() => unknown)[] = []

  after(fn: () => unknown): void {
    this.#undo.push(fn)
  }

  /** Undoes everything, last things first; a failure keeps nothing else from being undone. */
  async run(): Promise<void> {
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        process.stderr.write(`could not clean up: ${String(error)}\n`)
      }
    }
  }
}
