import { Counter, type Registry } from 'prom-client'
import { keyNameOf } from '../http/keys/keysFile.ts'
import type { Usage } from '../openai/usage.ts'

/** Names with a label value of their own; the others share one. */
const MOST_NAMES = 200
const OTHERS = 'others'

interface Used {
  requests: number
  prompt: number
  completion: number
}

/** What the keys of the keys file are used for, by name. Labels are put together when Prometheus asks. */
export class KeyTally {
  /** Since the counters were last brought up to date. */
  readonly #used = new Map<string, Used>()

  constructor(registry: Registry) {
    const registers = [registry]
    const moveRequests = (counter: Counter<'key'>): void => this.#moveRequests(counter)
    const moveTokens = (counter: Counter<'key' | 'kind'>): void => this.#moveTokens(counter)
    new Counter({
      name: 'infernet_gateway_key_requests_total',
      help: 'Requests with a key of KEYS_FILE, by the name of the key',
      labelNames: ['key'],
      registers,
      collect(): void {
        moveRequests(this)
      },
    })
    new Counter({
      name: 'infernet_gateway_key_tokens_total',
      help: 'Tokens that answers to requests with a key of KEYS_FILE said they took, by the name of the key and kind',
      labelNames: ['key', 'kind'],
      registers,
      collect(): void {
        moveTokens(this)
      },
    })
  }

  /** A request of this caller has ended. */
  countRequest(caller: string): void {
    const used = this.#usedBy(caller)
    if (used) used.requests++
  }

  countTokens(caller: string, { promptTokens, completionTokens }: Usage): void {
    const used = this.#usedBy(caller)
    if (!used) return
    used.prompt += promptTokens
    used.completion += completionTokens
  }

  /** Undefined for callers without a name. */
  #usedBy(caller: string): Used | undefined {
    const name = keyNameOf(caller)
    if (name === undefined) return undefined
    const label = this.#used.size < MOST_NAMES || this.#used.has(name) ? name : OTHERS
    const known = this.#used.get(label)
    if (known) return known
    const used = { requests: 0, prompt: 0, completion: 0 }
    this.#used.set(label, used)
    return used
  }

  #moveRequests(counter: Counter<'key'>): void {
    for (const [key, used] of this.#used) {
      counter.inc({ key }, used.requests)
      used.requests = 0
    }
  }

  #moveTokens(counter: Counter<'key' | 'kind'>): void {
    for (const [key, used] of this.#used) {
      counter.inc({ key, kind: 'prompt' }, used.prompt)
      counter.inc({ key, kind: 'completion' }, used.completion)
      used.prompt = 0
      used.completion = 0
    }
  }
}
