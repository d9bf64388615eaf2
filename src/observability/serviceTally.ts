import { Counter, type Registry } from 'prom-client'
import type { Served } from '../openai/forward.ts'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import { OTHER, shortLabel } from './boundedLabels.ts'
import { SECONDS_BUCKETS } from './secondsBuckets.ts'

/** Pairs of a service and a model with labels of their own; all further ones share one. */
const MOST_PAIRS = 200

/** What a counter of two values is still to be increased by; undefined where there was nothing to count yet. */
interface Split {
  yes: number
  no: number
}

interface Pair {
  readonly labels: { readonly service: string; readonly model: string }
  /** Of streams; undefined where there were none. */
  firstToken: Buckets | undefined
  /** Prompt tokens, by whether they were cached. */
  tokens: Split | undefined
  /** Requests that were chosen by their prompt, by whether the service was believed to be warm. */
  prompts: Split | undefined
}

/** How well the prompt caches of services are used, by service and model. Labels are put together when Prometheus asks. */
export class ServiceTally {
  /** By service, then by model. */
  readonly #services = new Map<string, Map<string, Pair>>()
  readonly #pairs: Pair[] = []
  #others: Pair | undefined
  readonly #firstToken: BucketHistogram

  constructor(registry: Registry) {
    this.#firstToken = new BucketHistogram({
      name: 'infernet_gateway_service_first_token_seconds',
      help: 'Time from sending a request to the first token of its streamed answer, by service and model',
      bounds: SECONDS_BUCKETS,
      registry,
    })
    const move = (member: 'tokens' | 'prompts', add: (labels: Pair['labels'], split: Split) => void): void => {
      for (const pair of this.#pairs) {
        const split = pair[member]
        if (!split) continue
        add(pair.labels, split)
        split.yes = split.no = 0
      }
    }
    new Counter({
      name: 'infernet_gateway_service_prompt_tokens_total',
      help: 'Prompt tokens of answers that said how many of them were cached, by service, model and whether they were',
      labelNames: ['service', 'model', 'cached'],
      registers: [registry],
      collect(): void {
        move('tokens', (labels, { yes, no }) => {
          this.inc({ ...labels, cached: 'true' }, yes)
          this.inc({ ...labels, cached: 'false' }, no)
        })
      },
    })
    new Counter({
      name: 'infernet_gateway_service_prompts_total',
      help: 'Requests that were sent to a service by their prompt and answered, by service, model and whether it was believed to have part of the prompt in its cache',
      labelNames: ['service', 'model', 'warm'],
      registers: [registry],
      collect(): void {
        move('prompts', (labels, { yes, no }) => {
          this.inc({ ...labels, warm: 'true' }, yes)
          this.inc({ ...labels, warm: 'false' }, no)
        })
      },
    })
  }

  /** Counts a request that was answered well. `model`: its label. */
  count(model: string, { service, firstTokenSeconds, isWarm, usage }: Served): void {
    if (firstTokenSeconds === undefined && isWarm === undefined && usage?.cachedTokens === undefined) return
    const label = shortLabel(service)
    const pair = this.#services.get(label)?.get(model) ?? this.#addPair(label, model)
    if (firstTokenSeconds !== undefined) {
      pair.firstToken ??= this.#firstToken.add(pair.labels)
      pair.firstToken.observe(firstTokenSeconds)
    }
    if (isWarm !== undefined) {
      pair.prompts ??= { yes: 0, no: 0 }
      pair.prompts[isWarm ? 'yes' : 'no']++
    }
    if (usage?.cachedTokens === undefined) return
    pair.tokens ??= { yes: 0, no: 0 }
    pair.tokens.yes += usage.cachedTokens
    pair.tokens.no += Math.max(0, usage.promptTokens - usage.cachedTokens)
  }

  #addPair(service: string, model: string): Pair {
    if (this.#pairs.length >= MOST_PAIRS) return (this.#others ??= this.#newPair(OTHER, OTHER))
    const pair = this.#newPair(service, model)
    const models = this.#services.get(service) ?? new Map<string, Pair>()
    this.#services.set(service, models.set(model, pair))
    return pair
  }

  #newPair(service: string, model: string): Pair {
    const pair: Pair = { labels: { service, model }, firstToken: undefined, tokens: undefined, prompts: undefined }
    this.#pairs.push(pair)
    return pair
  }
}
