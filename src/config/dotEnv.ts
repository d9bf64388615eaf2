import dotenv from 'dotenv'

/** `NAME=value` on one line, also after `export` and in the form `NAME: value`: what comes before the value, and the rest of the line. */
const ASSIGNMENT = /^([^\S\r\n]*(?:export[^\S\r\n]+)?[\w.-]+[^\S\r\n]*(?:=|:(?=[^\S\r\n])))(.*)$/gm
const QUOTED = /^\s*['"`]/
/** A `#` that begins no comment: one that does has white space before it. */
const HASH_IN_VALUE = /(?<!\s)#/g

/**
 * Reads the text of a `.env` file. As dotenv does it, but for unquoted values: there a comment needs white space before its `#`,
 * so that `OPS_KEY=#tag5` and `API_KEYS=abc#def` are whole keys and not, silently, less.
 */
export function parseDotEnv(text: string): Record<string, string> {
  const standIn = unusedCharacter(text)
  const kept = text.replace(ASSIGNMENT, (line, head: string, value: string) =>
    QUOTED.test(value) ? line : head + value.replace(HASH_IN_VALUE, standIn),
  )
  const values = Object.entries(dotenv.parse(kept))
  return Object.fromEntries(values.map(([name, value]) => [name, value.replaceAll(standIn, '#')]))
}

/** A character for private use (Unicode 23.5) that the text does not hold. */
function unusedCharacter(text: string): string {
  let code = 0xe000
  while (text.includes(String.fromCharCode(code))) code++
  return String.fromCharCode(code)
}
