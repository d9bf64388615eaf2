import { existsSync } from 'node:fs'
import path from 'node:path'
import { SettingsError } from './errors.ts'
import { variables } from './schema.ts'
import { FILE_VARIABLES } from './similar.ts'
import type { Environment } from './sources.ts'

const KEPT_QUOTES = /^(["']).*\1$/s
/** Variables whose whole value is the name of a file. */
const FILE_NAMES: ReadonlySet<string> = new Set(['IPS_FILE', 'SERVICES_FILE', 'TICKET_KEY_FILE', 'CONFIG_FILE'])

/**
 * Refuses values of the environment that are in quotes: `docker --env-file` keeps those of its file, and they would silently become
 * part of a key. A file whose name really is in quotes may be named.
 *
 * @throws SettingsError naming the variables
 */
export function refuseKeptQuotes(environment: Environment, workingDirectory: string): void {
  const isFile = (name: string, value: string): boolean =>
    FILE_NAMES.has(name) && existsSync(path.resolve(workingDirectory, value))
  const quoted = [...variables, ...FILE_VARIABLES].filter((name) => {
    const value = environment[name]?.trim() ?? ''
    const items = name === 'API_KEYS' ? [value, ...value.split(',').map((item) => item.trim())] : [value]
    return items.some((item) => item.length > 1 && KEPT_QUOTES.test(item)) && !isFile(name, value)
  })
  if (quoted.length === 0) return
  const lines = quoted.map(
    (name) =>
      `${name} has quotes around its value, which would be part of it: take them off (docker --env-file keeps them)`,
  )
  throw new SettingsError(lines.join('; '))
}
