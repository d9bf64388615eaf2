import { ROOT_CONTEXT, trace, type Context, type SpanContext } from '@opentelemetry/api'

/** Unfinished jobs whose traces are remembered; the oldest give way. */
const MOST_JOBS = 10_000

/** To which trace what happens to a job belongs, after the request that made it has ended. */
export class JobTraces {
  readonly #contexts = new Map<string, SpanContext>()

  add(job: string, span: SpanContext): void {
    this.#contexts.set(job, span)
    if (this.#contexts.size <= MOST_JOBS) return
    const [oldest] = this.#contexts.keys()
    this.#contexts.delete(oldest!)
  }

  contextOf(job: string | undefined): Context | undefined {
    const span = job === undefined ? undefined : this.#contexts.get(job)
    return span && trace.setSpanContext(ROOT_CONTEXT, span)
  }

  remove(job: string): void {
    this.#contexts.delete(job)
  }
}
