// Messages between threads and processes: all bytes of one travel in a single buffer.

/** How long all byte strings in a value are together. */
export function bytesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array) return value.length
  let sum = 0
  if (Array.isArray(value)) for (const part of value) sum += bytesIn(part)
  return sum
}

/** A message without its byte strings, in whose places is `undefined`; they follow each other in `bytes`, `ends` says where. */
export type Packed<Message> = [message: Message, bytes: ArrayBuffer, ends: number[]]

/**
 * Takes the byte strings out of a message and copies them into one buffer, which can change threads without another copy;
 * views of each would cost more. `length` is what they take together. Nothing else in the message may be `undefined`.
 */
export function pack<Message extends unknown[]>(message: Message, length: number): Packed<Message> {
  const ends: number[] = []
  const bytes = new Uint8Array(length)
  takeBytes(message, bytes, ends)
  return [message, bytes.buffer, ends]
}

/** Puts the byte strings back, as views of the one buffer: for whoever is done with all of them at once. */
export function unpack<Message extends unknown[]>([message, bytes, ends]: Packed<Message>): Message {
  if (ends.length > 0) putBytes(message, { bytes, ends, cut: view }, 0)
  return message
}

/**
 * The same for values that live on: where the buffer is long, only what is most of it is a view. A view keeps the whole of it
 * in memory, and a message carries the values of callers who know nothing of each other.
 */
export function unpackApart<Message extends unknown[]>([message, bytes, ends]: Packed<Message>): Message {
  if (ends.length > 0) putBytes(message, { bytes, ends, cut: viewOrCopy }, 0)
  return message
}

/** A buffer up to this is no loss as a whole, bytes. */
const SHORT_BUFFER = 16_384

/** The bytes of a message, and how one of its byte strings is cut out of them. */
interface Source {
  readonly bytes: ArrayBuffer
  readonly ends: readonly number[]
  readonly cut: (bytes: ArrayBuffer, start: number, end: number) => Uint8Array
}

function view(bytes: ArrayBuffer, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes, start, end - start)
}

function viewOrCopy(bytes: ArrayBuffer, start: number, end: number): Uint8Array {
  const isView = bytes.byteLength <= SHORT_BUFFER || end - start > bytes.byteLength / 2
  return isView ? view(bytes, start, end) : new Uint8Array(bytes.slice(start, end))
}

function takeBytes(parts: unknown[], bytes: Uint8Array, ends: number[]): void {
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (typeof part !== 'object' || part === null) continue
    if (part instanceof Uint8Array) {
      const start = ends.at(-1) ?? 0
      bytes.set(part, start)
      ends.push(start + part.length)
      parts[index] = undefined
    } else if (Array.isArray(part)) takeBytes(part, bytes, ends)
  }
}

/** Returns how many byte strings are in their places then. */
function putBytes(parts: unknown[], source: Source, first: number): number {
  const { bytes, ends, cut } = source
  let next = first
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined) {
      const start = ends[next - 1] ?? 0
      parts[index] = cut(bytes, start, ends[next]!)
      next++
    } else if (Array.isArray(part)) next = putBytes(part, source, next)
  }
  return next
}
