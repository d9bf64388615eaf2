import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseDotEnv } from './dotEnv.ts'
import { SettingsError } from './errors.ts'
import { withoutCredentials } from './redact.ts'
import { variables, type Variable } from './schema.ts'
import { FILE_VARIABLES, folded, meantBy } from './similar.ts'

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What a settings file sets: variable to value as JSON gave it. */
export type FileSettings = Record<string, unknown>

/** The file's text; undefined where there is none; any other trouble is a `SettingsError` that starts with `label`. */
function readIfThere(file: string, label: string): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new SettingsError(`${label} cannot be read (${code})`)
  }
  if (isUtf16(bytes)) throw new SettingsError(`${label} is in UTF-16: save it as UTF-8`)
  return bytes.toString('utf8').replace(/^\uFEFF/, '')
}

/** By the byte order mark, or by a letter of ASCII at the beginning, of which one byte is 0. */
function isUtf16([first, second]: Buffer): boolean {
  if (second === undefined) return false
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || (first === 0) !== (second === 0)
}

function withoutEmpty(environment: Environment): Record<string, string> {
  const trimmed = Object.entries(environment).map(([name, value]) => [name, value?.trim() ?? ''] as const)
  return Object.fromEntries(trimmed.filter(([, value]) => value !== ''))
}

/**
 * The environment together with the `.env` of the working directory, over which the real environment wins. Empty
 * values count as unset, so that `KEY=${KEY:-}` in a compose file means the default.
 */
export function readEnvironment(
  environment: Environment,
  workingDirectory: string,
  warn: (line: string) => void,
): Record<string, string> {
  const text = readIfThere(path.join(workingDirectory, '.env'), '.env')
  const fromFile = text === undefined ? {} : parseDotEnv(text)
  warnOfUnknown(fromFile, '.env', warn)
  warnOfUnknown(environment, 'the environment', warn)
  return { ...withLowerCase(withoutEmpty(fromFile)), ...withLowerCase(withoutEmpty(environment)) }
}

/** The settings that other programs share, which most of them read in lower case. */
const SHARED = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'] as const satisfies readonly Variable[]

/** The shared settings that stand there in lower case only, under their own names. */
function withLowerCase(environment: Record<string, string>): Record<string, string> {
  const more = SHARED.flatMap((name) => {
    const value = environment[name.toLowerCase()]
    return value === undefined || name in environment ? [] : [[name, value] as const]
  })
  return { ...environment, ...Object.fromEntries(more) }
}

/** `FTP_PROXY` is for others. */
const knownNames: ReadonlySet<string> = new Set([
  ...[...variables, ...FILE_VARIABLES, 'FTP_PROXY', 'ftp_proxy'],
  ...SHARED.map((name) => name.toLowerCase()),
])

/** An environment holds much that is not for the gateway: only a name that is nearly one of ours is worth a word. */
function warnOfUnknown(environment: Environment, where: string, warn: (line: string) => void): void {
  for (const name of Object.keys(environment)) {
    if (knownNames.has(name)) continue
    const meant = meantBy(name)
    if (meant !== undefined) warn(`${name} in ${where} is no setting and does nothing; did you mean ${meant}?`)
  }
}

const variableOf = new Map(variables.map((variable) => [folded(variable), variable]))

/** Where the JSON parser stopped. Its message is not shown: it quotes the text, which may hold secrets. */
function placeOf(error: unknown): string {
  const place = /\(line \d+ column \d+\)|at position \d+/.exec(String(error))
  return place ? ` ${place[0]}` : ''
}

function parseObject(text: string, label: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new SettingsError(`${label} is not JSON${placeOf(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SettingsError(`${label} must hold one JSON object, such as {"PORT": 4000}`)
  }
  return value as Record<string, unknown>
}

function unknownName(name: string): string {
  const meant = meantBy(name)
  return `${JSON.stringify(name)}, which is no setting${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

/** Where a settings file names its JSON Schema, for editors. It sets nothing. */
const SCHEMA_MEMBER = '$schema'

/** Settings by variable. Names count in any case and with or without underscores: `LOG_LEVEL`, `logLevel`. */
function nameVariables(values: Record<string, unknown>, label: string): FileSettings {
  const settings: FileSettings = {}
  for (const [name, value] of Object.entries(values)) {
    if (name === SCHEMA_MEMBER) continue
    const variable = variableOf.get(folded(name))
    if (variable === undefined) throw new SettingsError(`${label} sets ${unknownName(name)}`)
    if (variable in settings) throw new SettingsError(`${label} sets ${variable} twice`)
    if (typeof value === 'object' && !Array.isArray(value)) {
      throw new SettingsError(`${label} sets ${variable} to ${value === null ? 'null' : 'an object'}`)
    }
    settings[variable] = value
  }
  return settings
}

/** A longer one is cut in the warning, characters. */
const LONGEST_STAGE = 100

/** The settings of `config/<NODE_ENV>.json` in the first of the folders that has such a file; none, and a warning, where none has. */
export function readStageFile(
  folders: readonly string[],
  stage: string | undefined,
  warn: (line: string) => void,
): FileSettings {
  if (stage === undefined) return {}
  const isName = /^[\w-]+$/.test(stage)
  const label = `config/${stage}.json`
  for (const folder of isName ? folders : []) {
    const text = readIfThere(path.join(folder, 'config', `${stage}.json`), label)
    if (text !== undefined) return nameVariables(parseObject(text, label), label)
  }
  const missing = isName ? `there is no ${label}` : 'that is no name of a file in config/'
  warn(`NODE_ENV is ${JSON.stringify(stage.slice(0, LONGEST_STAGE))} and sets nothing, since ${missing}`)
  return {}
}

/** The settings of the file named by `CONFIG_FILE`, which must be there; a relative name counts from the working directory. */
export function readConfigFile(workingDirectory: string, file: string | undefined): FileSettings {
  if (file === undefined) return {}
  const label = `CONFIG_FILE ${withoutCredentials(file)}`
  const text = readIfThere(path.resolve(workingDirectory, file), label)
  if (text === undefined) throw new SettingsError(`${label} does not exist`)
  return nameVariables(parseObject(text, label), label)
}

/** Puts variables whose names begin so into the environment of this process, for packages that read them there; those of it stay. */
export function putIntoProcess(environment: Environment, prefix: string): void {
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith(prefix) && value !== undefined) process.env[name] ??= value
  }
}
