import type { EventEmitter } from 'node:events'
import { Counter, type Registry } from 'prom-client'
import { limitKeyOf } from '../base/limitKey.ts'
import type { Served } from '../openai/forward.ts'
import { OTHER, shortLabel } from './boundedLabels.ts'

/** Pairs of caller and model with series of their own; all others share one. */
const MOST_PAIRS = 200

interface Used {
  readonly caller: string
  readonly model: string
  requests: number
  prompt: number
  completion: number
  cached: number
}

/** What callers use of models since the start of the process. The ledger keeps it by day: `GET /admin/usage`. */
export function addUsageTally(registry: Registry, events: EventEmitter<{ served: [Served] }>): void {
  const tally = new UsageTally()
  events.on('served', (served) => tally.count(served))
  new Counter({
    name: 'infernet_gateway_usage_requests_total',
    help: 'Requests that a service answered to their end, by caller and model',
    labelNames: ['caller', 'model'],
    registers: [registry],
    collect(): void {
      tally.moveRequests(this)
    },
  })
  new Counter({
    name: 'infernet_gateway_usage_tokens_total',
    help: 'Tokens that answers said they took, by caller, model and kind; cached ones are a part of those of the prompt',
    labelNames: ['caller', 'model', 'kind'],
    registers: [registry],
    collect(): void {
      tally.moveTokens(this)
    },
  })
}

/** Counts per pair; labels are put together when Prometheus asks. */
class UsageTally {
  readonly #callers = new Map<string, Map<string, Used>>()
  readonly #all: Used[] = []
  #other: Used | undefined

  count({ caller, model, usage }: Served): void {
    const key = limitKeyOf(caller)
    const used = this.#callers.get(key)?.get(model) ?? this.#newPair(key, model)
    used.requests++
    if (!usage) return
    used.prompt += usage.promptTokens
    used.completion += usage.completionTokens
    used.cached += usage.cachedTokens ?? 0
  }

  moveRequests(counter: Counter<'caller' | 'model'>): void {
    for (const used of this.#all) {
      counter.inc({ caller: used.caller, model: used.model }, used.requests)
      used.requests = 0
    }
  }

  moveTokens(counter: Counter<'caller' | 'model' | 'kind'>): void {
    for (const used of this.#all) {
      const { caller, model } = used
      for (const kind of ['prompt', 'completion', 'cached'] as const) {
        counter.inc({ caller, model, kind }, used[kind])
        used[kind] = 0
      }
    }
  }

  #newPair(caller: string, model: string): Used {
    if (this.#all.length >= MOST_PAIRS) return (this.#other ??= this.#add(OTHER, OTHER))
    const used = this.#add(shortLabel(caller), shortLabel(model))
    const models = this.#callers.get(caller)
    if (models) models.set(model, used)
    else this.#callers.set(caller, new Map([[model, used]]))
    return used
  }

  #add(caller: string, model: string): Used {
    const used = { caller, model, requests: 0, prompt: 0, completion: 0, cached: 0 }
    this.#all.push(used)
    return used
  }
}
