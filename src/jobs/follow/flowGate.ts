import type { Flow } from '../../upstream/index.ts'

/** Lets an answer flow while nobody holds it; several may hold it at a time. */
export class FlowGate {
  readonly #flow: Flow
  #holds = 0

  constructor(flow: Flow) {
    this.#flow = flow
  }

  hold(): void {
    if (this.#holds++ === 0) this.#flow.pause()
  }

  letGo(): void {
    if (--this.#holds === 0) this.#flow.resume()
  }
}
