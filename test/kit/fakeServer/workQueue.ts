/** A queue with a fixed number of places: tasks wait in order, run, and give their place back. */

/** Called when the task gets its place; calls `release` exactly once when it needs it no more. */
export type Start = (release: () => void) => void

interface Task {
  start: Start
  isRunning: boolean
  isOver: boolean
}

export class WorkQueue {
  readonly #waiting = new Set<Task>()
  #running = 0
  #places: number

  constructor(places: number) {
    this.#places = places
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** More places take effect at once; fewer as tasks end. */
  setPlaces(places: number): void {
    this.#places = places
    this.#next()
  }

  /** Returns what takes the task out again: from the queue, or from its place. */
  add(start: Start): () => void {
    const task: Task = { start, isRunning: false, isOver: false }
    this.#waiting.add(task)
    this.#next()
    return () => this.#end(task)
  }

  #next(): void {
    while (this.#running < this.#places && this.#waiting.size > 0) {
      const task = this.#waiting.values().next().value!
      this.#waiting.delete(task)
      this.#running++
      task.isRunning = true
      task.start(() => this.#end(task))
    }
  }

  #end(task: Task): void {
    if (task.isOver) return
    task.isOver = true
    this.#waiting.delete(task)
    if (!task.isRunning) return
    this.#running--
    this.#next()
  }
}
