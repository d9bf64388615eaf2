import { splice, type ByteRange } from '../json/index.ts'

/** Where a body has its model, or where one has room for it. */
export interface ModelPlace extends ByteRange {
  /** The bytes that say it, in the body's own form. */
  readonly write: (model: string) => Buffer
}

/**
 * A request body whose model can be named differently for each service. All other bytes stay as they came. No more than one
 * version is kept, since bodies may be large.
 */
export class ModelBody {
  readonly #originalModel: string | undefined
  /** How the client wrote it; kept from the first change on. */
  #originalBytes: Buffer | undefined
  #bytes: Buffer
  #model: string | undefined
  #place: ModelPlace

  /** `model`: what the body says; undefined where it names none. */
  constructor(bytes: Buffer, model: string | undefined, place: ModelPlace) {
    this.#bytes = bytes
    this.#model = this.#originalModel = model
    this.#place = place
  }

  /** The body as it is, with this model. */
  withModel(model: string): Buffer {
    if (model === this.#model) return this.#bytes
    const { start, end, write } = this.#place
    this.#originalBytes ??= Buffer.from(this.#bytes.subarray(start, end))
    const written = model === this.#originalModel ? this.#originalBytes : write(model)
    this.#bytes = splice(this.#bytes, this.#place, written)
    this.#place = { start, end: start + written.length, write }
    this.#model = model
    return this.#bytes
  }
}

/** In place of a member's value. */
export function writeValue(model: string): Buffer {
  return Buffer.from(JSON.stringify(model))
}

/** As a member before others, right behind the bracket that opens the object. */
export function writeFirstMember(model: string): Buffer {
  return Buffer.from(`"model":${JSON.stringify(model)},`)
}

/** As the only member. */
export function writeOnlyMember(model: string): Buffer {
  return Buffer.from(`"model":${JSON.stringify(model)}`)
}

/** In place of a form field's value. */
export function writeField(model: string): Buffer {
  return Buffer.from(model)
}

/** As a field before the first part of a form. */
export function firstFieldWriter(delimiter: string): (model: string) => Buffer {
  const head = `${delimiter}\r\nContent-Disposition: form-data; name="model"\r\n\r\n`
  return (model) => Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(model), Buffer.from('\r\n')])
}
