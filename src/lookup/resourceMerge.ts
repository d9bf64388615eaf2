import type { Refusal, Reservation, Steps } from '../base/index.ts'
import { memberOf, objectSteps, scanObject, type JsonMember } from '../json/index.ts'
import type { NodeAnswer } from './resources.ts'

/** Containers that one merged answer names, and its length, bytes. Nodes may claim anything; the rest is left out. */
const MOST_CONTAINERS = 10_000
const MOST_BYTES = 16_000_000
/** What an entry takes besides its text, bytes. */
const ENTRY_OVERHEAD = 200

interface Entry {
  /** Its JSON, a copy: a slice would keep the whole answer of its node. */
  readonly json: Buffer
  readonly size: number
  isSupported?: boolean
}

/** The union of what nodes told at `/resources`; where containers were asked about a model, `supported` wins over not. */
export class ResourceMerge {
  /** Why the rest was not taken. */
  refusal: Refusal | undefined
  readonly #entries = new Map<string, Entry>()
  readonly #memory: Reservation
  #bytes = 0

  /** `memory`: where the bytes of the merged answer are counted. */
  constructor(memory: Reservation) {
    this.#memory = memory
  }

  /** Adds what nodes told, which must have been checked. */
  *addAll(answers: readonly NodeAnswer[]): Steps<void> {
    for (const { answer } of answers) {
      if (!answer) continue
      for (const member of yield* objectSteps(answer)) {
        this.#addEntry(answer, member)
        if (this.refusal) return
        yield
      }
    }
  }

  /** The members of the merged object. */
  *members(): Generator<string> {
    let separator = '{'
    for (const [container, { json }] of this.#entries) {
      yield `${separator}${JSON.stringify(container)}:${json.toString()}`
      separator = ','
    }
    yield separator === '{' ? '{}' : '}'
  }

  #addEntry(body: Buffer, { name, start, end }: JsonMember): void {
    const known = this.#entries.get(name)
    if (known && (isSupported(known) || !tellsSupported(body.subarray(start, end)))) return
    const size = end - start + 2 * name.length + ENTRY_OVERHEAD
    const more = size - (known?.size ?? 0)
    if (this.#bytes + more > MOST_BYTES || (!known && this.#entries.size >= MOST_CONTAINERS)) return
    if (more > 0) this.refusal = this.#memory.grow(more)
    else this.#memory.shrink(-more)
    if (this.refusal) return
    this.#bytes += more
    this.#entries.set(name, { json: Buffer.from(body.subarray(start, end)), size })
  }
}

function isSupported(entry: Entry): boolean {
  return (entry.isSupported ??= tellsSupported(entry.json))
}

function tellsSupported(json: Buffer): boolean {
  if (json[0] !== 0x7b) return false
  const supported = memberOf(scanObject(json), 'supported')
  return supported?.kind === 'boolean' && json[supported.start] === 0x74
}
