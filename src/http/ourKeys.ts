import type { Request } from 'express'
import type { Check } from './checks.ts'
import { contextOf } from './context.ts'
import type { KeyRing } from './keys/keyRing.ts'
import { keyOfProtocols } from './protocolKeys.ts'

/** Names of headers and of query parameters that may hold a key. */
const KEY_NAME = /auth|key|token|secret|password|credential/i
/** Words of one request that are looked at. Each is hashed, and a request has room for thousands. */
const MAX_WORDS = 64

/**
 * Finds the gateway's own keys wherever a request shows them, and withholds them from backends. That includes the operator's
 * key on paths that do not ask for it: a browser that has cached it sends it to every path.
 */
export function withholdOurKeys(rings: readonly KeyRing[]): Check {
  if (rings.every((ring) => ring.isOpen)) return () => undefined
  return (req) => {
    const search = new KeySearch(rings)
    withholdHeaders(req, search)
    withholdParameters(req, search)
    const key = keyOfProtocols(req.headers['sec-websocket-protocol'])
    if (key !== undefined && search.finds(key)) contextOf(req).withholdsProtocolKeys = true
  }
}

function withholdHeaders(req: Request, search: KeySearch): void {
  for (const name in req.headers) {
    if (!KEY_NAME.test(name) || !search.finds(String(req.headers[name]))) continue
    const context = contextOf(req)
    context.withheldHeaders ??= new Set()
    context.withheldHeaders.add(name)
  }
}

/** Takes the parameters that hold a key out of the query, and leaves the bytes of all others alone. */
function withholdParameters(req: Request, search: KeySearch): void {
  const start = req.url.indexOf('?')
  if (start < 0 || !KEY_NAME.test(req.url)) return
  const parameters = req.url.slice(start + 1).split('&')
  const kept = parameters.filter((parameter) => {
    const equals = parameter.indexOf('=')
    if (equals < 0 || !KEY_NAME.test(parameter.slice(0, equals))) return true
    return !search.finds(decoded(parameter.slice(equals + 1)))
  })
  if (kept.length === parameters.length) return
  req.url = req.url.slice(0, start) + (kept.length > 0 ? `?${kept.join('&')}` : '')
}

/** Looks for keys in one request. What it has no words left for counts as a key. */
class KeySearch {
  readonly #rings: readonly KeyRing[]
  #wordsLeft = MAX_WORDS

  constructor(rings: readonly KeyRing[]) {
    this.#rings = rings
  }

  /** Whether a key is in a value: on its own, after a scheme such as `Bearer`, as `name=key`, or inside HTTP Basic. */
  finds(value: string): boolean {
    const words = value.split(/[\s,]+/, this.#wordsLeft + 1)
    this.#wordsLeft -= words.length
    if (this.#wordsLeft < 0) {
      this.#wordsLeft = 0
      return true
    }
    const isBasic = /^basic$/i.test(words[0] ?? '')
    return words.some((word) => textsIn(word, isBasic).some((text) => this.#isKey(text)))
  }

  #isKey(text: string): boolean {
    return this.#rings.some((ring) => ring.has(text))
  }
}

function textsIn(word: string, isBasic: boolean): string[] {
  const texts = [word]
  const bare = withoutQuotes(word)
  if (bare !== word) texts.push(bare)
  const equals = word.indexOf('=')
  if (equals >= 0) texts.push(word.slice(equals + 1).replace(/^"(.*)"$/, '$1'))
  if (isBasic) {
    const credentials = Buffer.from(word, 'base64').toString()
    const colon = credentials.indexOf(':')
    texts.push(credentials, credentials.slice(0, Math.max(0, colon)), credentials.slice(colon + 1))
  }
  return texts
}

/** A loop, since an expression for the end of a text takes quadratic time on a header full of quotes. */
function withoutQuotes(word: string): string {
  let start = 0
  let end = word.length
  while (start < end && `"'`.includes(word[start] as string)) start++
  while (end > start && `"';`.includes(word[end - 1] as string)) end--
  return word.slice(start, end)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
