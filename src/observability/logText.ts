import type { LogFields } from '../base/logger.ts'

/*
 * What a line of the log may hold. Clients, nodes and lists of nodes have a say in what is logged: whatever they send, a
 * line stays of bearable length, and building it takes no longer than that.
 */

/** Longest text of one field, characters; stacks may be longer. */
const MOST_TEXT = 1000
const MOST_STACK = 3000
/** Longest line, characters. */
const MOST_LINE = 16_000
/** Most elements of a list and members of an object that are told, and values in all. */
const MOST_PARTS = 50
const MOST_VALUES = 500
/** How deep the causes of an error are told, and values within values. */
const MOST_CAUSES = 3
const MOST_DEPTH = 6

/** A text as the log tells it: cut, with a note of how long it was. */
export function bounded(text: string, most = MOST_TEXT): string {
  return text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text
}

/** The line, or what `shorten` makes of it where it is too long. */
export function shortLine(line: string, shorten: () => string): string {
  return line.length > MOST_LINE ? shorten() : line
}

/** JSON of anything, however large. Errors count before their own `toJSON`, which in HTTP clients tells headers and with them keys. */
export function toJson(value: unknown, withStack: boolean): string {
  try {
    return JSON.stringify(new Told(withStack).of(value, 0)) ?? 'null'
  } catch {
    return '"[not serialisable]"'
  }
}

/** Makes copies of values that hold no more than a log should. */
class Told {
  readonly #withStack: boolean
  /** Values that may still be told. */
  #left = MOST_VALUES

  constructor(withStack: boolean) {
    this.#withStack = withStack
  }

  of(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return bounded(value)
    if (typeof value === 'bigint') return bounded(String(value))
    if (typeof value !== 'object' || value === null) return value
    if (this.#left-- <= 0) return '[too many values]'
    if (depth > MOST_DEPTH) return '[too deep]'
    if (value instanceof Error) return this.#error(value, MOST_CAUSES)
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
    const { toJSON } = value as { toJSON?: unknown }
    if (typeof toJSON === 'function') return this.of((value as { toJSON(): unknown }).toJSON(), depth + 1)
    return Array.isArray(value) ? this.#list(value, depth) : this.#object(value, depth)
  }

  #list(list: readonly unknown[], depth: number): unknown[] {
    const told = list.slice(0, MOST_PARTS).map((element) => this.of(element, depth + 1))
    if (list.length > MOST_PARTS) told.push(`… (${list.length} elements)`)
    return told
  }

  #object(object: object, depth: number): LogFields {
    const told: LogFields = {}
    let count = 0
    for (const name in object) {
      if (!Object.hasOwn(object, name)) continue
      if (++count > MOST_PARTS) {
        told['…'] = 'more members'
        break
      }
      // Defined, not assigned, for the sake of a member that is called __proto__.
      const member = { value: this.of((object as LogFields)[name], depth + 1), enumerable: true, configurable: true }
      Object.defineProperty(told, bounded(name, 100), member)
    }
    return told
  }

  /** What a log says of an error: its message and code; the stack only for those who debug. */
  #error(error: Error, causes: number): LogFields {
    const { code } = error as NodeJS.ErrnoException
    // Node reports a name with several dead addresses as an AggregateError without a message.
    const parts: unknown = error instanceof AggregateError ? error.errors[0] : undefined
    const message = error.message || (parts instanceof Error ? parts.message : error.name)
    return {
      message: bounded(message),
      ...(code === undefined ? {} : { code: this.of(code, MOST_DEPTH) }),
      ...(this.#withStack ? { stack: bounded(String(error.stack), MOST_STACK) } : {}),
      ...(error.cause instanceof Error && causes > 0 ? { cause: this.#error(error.cause, causes - 1) } : {}),
    }
  }
}
