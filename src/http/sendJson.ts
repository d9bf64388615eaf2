import type { ServerResponse } from 'node:http'
import { roomOrClose } from './roomOrClose.ts'
import { Slice } from '../base/turns.ts'

/** Text that is gathered for one write, characters. */
const WRITE_LENGTH = 64 * 1024
const TYPE = 'application/json; charset=utf-8'

/**
 * Answers 200 with JSON that is made part by part: in slices, and no further ahead than the client reads, so that an answer
 * of any length costs neither a long turn of the event loop nor the memory for the whole.
 */
export async function sendJson(res: ServerResponse, parts: Iterable<string>): Promise<void> {
  const slice = new Slice()
  let text = ''
  for (const part of parts) {
    text += part
    if (text.length >= WRITE_LENGTH) {
      if (!res.headersSent) res.writeHead(200, { 'Content-Type': TYPE })
      if (res.req.method === 'HEAD') break
      if (!res.write(text)) await roomOrClose(res)
      text = ''
    }
    if (res.destroyed) return
    if (slice.isOver) await slice.next()
  }
  if (res.headersSent) return void res.end(text)
  res.writeHead(200, { 'Content-Type': TYPE, 'Content-Length': Buffer.byteLength(text) })
  res.end(text)
}

/** A list, element by element. */
export function* listParts<T>(elements: Iterable<T>, jsonOf: (element: T) => string = stringify): Generator<string> {
  let separator = '['
  for (const element of elements) {
    yield separator + jsonOf(element)
    separator = ','
  }
  yield separator === '[' ? '[]' : ']'
}

/** An object of these members; a value is short, or parts itself. */
export function* objectParts(members: Iterable<readonly [name: string, value: unknown]>): Generator<string> {
  let separator = '{'
  for (const [name, value] of members) {
    if (value === undefined) continue
    yield `${separator}${JSON.stringify(name)}:`
    separator = ','
    if (value instanceof Parts) yield* value.parts
    else yield stringify(value)
  }
  yield separator === '{' ? '{}' : '}'
}

/** Marks the value of a member as made part by part. */
export class Parts {
  readonly parts: Iterable<string>

  constructor(parts: Iterable<string>) {
    this.parts = parts
  }
}

function stringify(value: unknown): string {
  return JSON.stringify(value) ?? 'null'
}
