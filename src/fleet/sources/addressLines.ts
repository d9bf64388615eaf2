import { setImmediate as turn } from 'node:timers/promises'
import { SkippedLines } from '../../base/badLines.ts'
import { AddressError, parseAddressLine, withoutCredentials, type DnsName, type NodeSpec } from '../address.ts'

/** Lines that are read in one turn of the event loop: a few milliseconds. */
const LINES_A_TURN = 500

/** What an addresses file says. */
export interface AddressLines {
  readonly entries: readonly (NodeSpec | DnsName)[]
  readonly skipped: SkippedLines
}

/** Reads the text of an addresses file. A bad line is skipped. */
export async function readAddressLines(text: string): Promise<AddressLines> {
  const entries: (NodeSpec | DnsName)[] = []
  const skipped = new SkippedLines()
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (index % LINES_A_TURN === LINES_A_TURN - 1) await turn()
    try {
      const entry = parseAddressLine(line)
      if (entry) entries.push(entry)
    } catch (error) {
      if (!(error instanceof AddressError)) throw error
      skipped.add({ line: index + 1, entry: withoutCredentials(line).trim(), reason: error.message })
    }
  }
  return { entries, skipped }
}
