/** Answers of services, as the gateway tells its counters of them. */
import type { Served } from '../../../src/openai/forward.ts'
import { UsageWatch } from '../../../src/openai/usage.ts'

/** An answer of this service, of which nothing is known but what `more` says. */
export function servedBy(service: string, more: Partial<Served> = {}): Served {
  return {
    ...{ model: 'm', service, caller: '127.0.0.1', firstByteSeconds: 0.1, seconds: 0.2 },
    ...{ firstTokenSeconds: undefined, isWarm: undefined, usage: undefined, answer: new UsageWatch() },
    ...more,
  }
}
