import { MAX_ID_BYTES } from '../../ids.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

/**
 * Finds one text in JSON that arrives in pieces, such as `response` → `id`, without keeping the rest. Names and the text itself
 * are taken as they are written: ids need no escapes. Nothing is found in what is no object.
 */
export class TextAtPath {
  /** The text, once it has been seen whole. */
  found: string | undefined
  readonly #path: readonly string[]
  #depth = 0
  /** How many of the enclosing objects lie on the path, the outermost included. */
  #onPath = 0
  #inText = false
  #isEscaped = false
  /** The text that is being read, or was read last, if it may matter and is not too long. */
  #text: number[] = []
  #isTooLong = false
  /** The member whose value comes next, where it lies on the path. */
  #name: string | undefined

  constructor(path: readonly string[]) {
    this.#path = path
  }

  /** Reads on until the text is found; returns whether it is. */
  read(bytes: Buffer, start = 0, end = bytes.length): boolean {
    for (let at = start; at < end && this.found === undefined; at++) this.#take(bytes[at]!)
    return this.found !== undefined
  }

  #take(byte: number): void {
    if (this.#inText) return this.#takeText(byte)
    switch (byte) {
      case QUOTE:
        this.#inText = true
        this.#isTooLong = false
        this.#text = []
        return
      case COLON:
        if (this.#isHere) this.#name = this.#textRead()
        return
      case COMMA:
        if (this.#isHere) this.#name = undefined
        return
      case OPEN_OBJECT:
        if (this.#isHere && (this.#depth === 0 || this.#leadsOn)) this.#onPath++
        this.#depth++
        this.#name = undefined
        return
      case OPEN_ARRAY:
        this.#depth++
        return
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        if (this.#isHere) this.#onPath--
        this.#depth--
        this.#name = undefined
    }
  }

  #takeText(byte: number): void {
    if (this.#isEscaped) {
      this.#isEscaped = false
    } else if (byte === BACKSLASH) {
      this.#isEscaped = true
    } else if (byte === QUOTE) {
      this.#inText = false
      const isWanted = this.#isHere && this.#onPath === this.#path.length && this.#name === this.#path.at(-1)
      if (isWanted) this.found = this.#textRead()
      return
    }
    if (!this.#isHere || this.#isTooLong) return
    if (this.#text.length < MAX_ID_BYTES) this.#text.push(byte)
    else this.#isTooLong = true
  }

  /** Whether the innermost enclosing object lies on the path. */
  get #isHere(): boolean {
    return this.#depth === this.#onPath
  }

  /** Whether the value that comes next lies on the path, and is not its end. */
  get #leadsOn(): boolean {
    return this.#onPath < this.#path.length && this.#name === this.#path[this.#onPath - 1]
  }

  #textRead(): string | undefined {
    return this.#isTooLong ? undefined : Buffer.from(this.#text).toString()
  }
}
