import { Counter, type Registry } from 'prom-client'
import type { Served } from '../openai/forward.ts'
import { BucketHistogram, type Buckets } from './bucketHistogram.ts'
import { SECONDS_BUCKETS } from './secondsBuckets.ts'

interface ModelBuckets {
  readonly firstByte: Buckets
  readonly seconds: Buckets
  /** Tokens since the counter was last brought up to date; undefined where no answer told any. */
  tokens: { prompt: number; completion: number } | undefined
}

/** How services answered, by model, and the tokens that they told. Labels are put together when Prometheus asks. */
export class ModelTally {
  readonly #models = new Map<string, ModelBuckets>()
  readonly #firstByte: BucketHistogram
  readonly #seconds: BucketHistogram
  readonly #failures: Counter<'model'>

  constructor(registry: Registry) {
    this.#firstByte = new BucketHistogram({
      name: 'infernet_gateway_model_first_byte_seconds',
      help: 'Time from sending a request to the first byte of its answer, by model',
      bounds: SECONDS_BUCKETS,
      registry,
    })
    this.#seconds = new BucketHistogram({
      name: 'infernet_gateway_model_request_seconds',
      help: 'Time of a whole request, by model',
      bounds: SECONDS_BUCKETS,
      registry,
    })
    this.#failures = new Counter({
      name: 'infernet_gateway_model_failures_total',
      help: 'Requests that the gateway or its services failed, by model; those of models that none lists are "other"',
      labelNames: ['model'],
      registers: [registry],
    })
    const bringUpToDate = (counter: Counter<'model' | 'kind'>): void => this.#moveTo(counter)
    new Counter({
      name: 'infernet_gateway_model_tokens_total',
      help: 'Tokens that answers said they took, by model and kind',
      labelNames: ['model', 'kind'],
      registers: [registry],
      collect(): void {
        bringUpToDate(this)
      },
    })
  }

  count(model: string, { firstByteSeconds, seconds, usage }: Served): void {
    const tally = this.#models.get(model) ?? this.#addModel(model)
    tally.firstByte.observe(firstByteSeconds)
    tally.seconds.observe(seconds)
    if (!usage) return
    const tokens = (tally.tokens ??= { prompt: 0, completion: 0 })
    tokens.prompt += usage.promptTokens
    tokens.completion += usage.completionTokens
  }

  countFailure(model: string): void {
    this.#failures.inc({ model })
  }

  #addModel(model: string): ModelBuckets {
    const [firstByte, seconds] = [this.#firstByte.add({ model }), this.#seconds.add({ model })]
    const tally: ModelBuckets = { firstByte, seconds, tokens: undefined }
    this.#models.set(model, tally)
    // What has not failed yet has failed 0 times.
    this.#failures.inc({ model }, 0)
    return tally
  }

  #moveTo(counter: Counter<'model' | 'kind'>): void {
    for (const [model, tally] of this.#models) {
      if (!tally.tokens) continue
      counter.inc({ model, kind: 'prompt' }, tally.tokens.prompt)
      counter.inc({ model, kind: 'completion' }, tally.tokens.completion)
      tally.tokens = undefined
    }
  }
}
