import path from 'node:path'
import type { SkippedLines } from './base/badLines.ts'
import { withoutCredentials } from './config/redact.ts'
import type { Settings } from './config/settings.ts'
import { readAddressLines } from './fleet/sources/addressLines.ts'
import { readServiceList } from './fleet/sources/serviceList.ts'
import { variablesOf } from './fleet/sources/sources.ts'
import { readListFile } from './fleet/sources/watchedFile.ts'
import { readKeysFile } from './http/keys/readKeysFile.ts'
import { readTicketKeys } from './lookup/tickets/keys.ts'

/** What is wrong with the files that the settings name, a line each. */
export interface CheckResult {
  /** With any of them the gateway would do without something that the operator has asked for. */
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

const SOUND: CheckResult = { problems: [], warnings: [] }

/** Each setting that names a file, and how that is checked. */
const FILES: Readonly<Record<string, (settings: Settings) => Promise<CheckResult>>> = {
  IPS_FILE: checkAddresses,
  SERVICES_FILE: checkServices,
  KEYS_FILE: checkKeys,
  TICKET_KEY_FILE: checkTicketKey,
}

/** Reads every file that the settings name, as the gateway would. */
export async function checkFiles(settings: Settings): Promise<CheckResult> {
  const results = await Promise.all(
    Object.entries(FILES).map(async ([setting, check]) => {
      const { problems, warnings } = await check(settings)
      const named = (line: string): string => `${setting}: ${line}`
      return { problems: problems.map(named), warnings: warnings.map(named) }
    }),
  )
  return {
    problems: results.flatMap(({ problems }) => problems),
    warnings: results.flatMap(({ warnings }) => warnings),
  }
}

async function checkAddresses({ ipsFile, isIpsFileNamed }: Settings): Promise<CheckResult> {
  const read = await readList(ipsFile)
  if (read.fault !== undefined) return { ...SOUND, problems: [read.fault] }
  const name = shown(ipsFile)
  if (read.text === undefined) {
    const missing = [`${name} does not exist`]
    return isIpsFileNamed ? { ...SOUND, problems: missing } : { ...SOUND, warnings: missing }
  }
  const { skipped } = await readAddressLines(read.text)
  return { ...SOUND, problems: badLines(name, skipped) }
}

async function checkServices({ servicesFile, environment }: Settings): Promise<CheckResult> {
  if (servicesFile === '') return SOUND
  const read = await readList(servicesFile)
  if (read.fault !== undefined) return { ...SOUND, problems: [read.fault] }
  const name = shown(servicesFile)
  if (read.text === undefined) return { ...SOUND, problems: [`${name} does not exist`] }
  const { skipped, unknown } = readServiceList(read.text, variablesOf(environment))
  const warnings = unknown.map(
    ({ line, members }) => `${name}, line ${line}: unknown members ${JSON.stringify(members)} are ignored`,
  )
  return { problems: badLines(name, skipped), warnings }
}

async function checkKeys({ keysFile }: Settings): Promise<CheckResult> {
  if (keysFile === '') return SOUND
  const read = await readList(keysFile)
  if (read.fault !== undefined) return { ...SOUND, problems: [read.fault] }
  const name = shown(keysFile)
  if (read.text === undefined) return { ...SOUND, problems: [`${name} does not exist`] }
  return { ...SOUND, problems: badLines(name, readKeysFile(read.text).skipped) }
}

async function checkTicketKey({ ticketKeyFile }: Settings): Promise<CheckResult> {
  if (ticketKeyFile === '') return SOUND
  try {
    await readTicketKeys(ticketKeyFile)
    return SOUND
  } catch (error) {
    return { ...SOUND, problems: [(error as Error).message] }
  }
}

/** The text of a file, undefined where there is none; or why it cannot be read. */
async function readList(file: string): Promise<{ text?: string | undefined; fault?: string }> {
  try {
    return { text: await readListFile(path.resolve(file)) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { fault: `${shown(file)} cannot be read: ${code ?? message}` }
  }
}

function badLines(name: string, { kept, total }: SkippedLines): string[] {
  const lines = kept.map(({ line, entry, reason }) => {
    const place = line === null ? name : `${name}, line ${line}`
    // As JSON, so that nothing in it acts on a terminal.
    return entry === null ? `${place}: ${reason}` : `${place}, ${JSON.stringify(entry)}: ${reason}`
  })
  const more = total - kept.length
  return more > 0 ? [...lines, `${name}: ${more} more bad lines`] : lines
}

/** Somebody may have set a URL in place of a file. */
function shown(file: string): string {
  return withoutCredentials(file)
}
