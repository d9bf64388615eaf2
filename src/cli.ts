#!/usr/bin/env node
// Imports nothing statically and keeps to old syntax, so that an old Node gets as far as the line that says so.

import type { Settings } from './config/settings.ts'

/** The first that lets a server ignore requests to change the protocol. */
const oldestNode = '24.9'

const usage = `Usage: infernet-gateway [option]

One address for a fleet of Infernet nodes and OpenAI-compatible services.

  --check        check the settings and the files that they name, and exit
  --backup FILE  write a copy of the ledger to a new file and exit; the gateway may run meanwhile
  --copy-state FROM TO
                 copy jobs, answers and the ticket key from one STATE_URL to another, empty one, and exit; the word
                 STATE_URL stands for the setting; no gateway may run with either
  --settings     print the settings as a Markdown table and exit
  --version, -v  print the version and exit
  --help, -h     print this help and exit

Settings are variables with these defaults. They are read in rising order from config/<NODE_ENV>.json,
the JSON file named by CONFIG_FILE, a .env file in the working directory, and the environment.
`

const options = ['--check', '--settings', '--version', '--help']
const shortForms = new Map([
  ['-v', '--version'],
  ['-h', '--help'],
])

function fail(line: string, exitCode: number): void {
  console.error(line)
  process.exitCode = exitCode
}

async function printVersion(): Promise<void> {
  const { packageVersion } = await import('./base/packageVersion.ts')
  console.log(packageVersion())
}

/** One line for people; the stack too where `debug` asks for it. */
function describe(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error)
  if (debug && error.stack) return error.stack
  return (error.message || error.name).replace(/\n.*/s, '')
}

async function start(checkOnly: boolean): Promise<void> {
  const { loadSettings, processSources, SettingsError } = await import('./config/settings.ts')
  const warnings: string[] = []
  let settings
  try {
    settings = loadSettings(processSources(), (line) => warnings.push(line))
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return fail(error.message, 1)
  }
  if (checkOnly) {
    for (const line of warnings) console.error(`warning: ${line}`)
    return check(settings)
  }

  const { createLogger } = await import('./observability/logger.ts')
  const { default: cluster } = await import('node:cluster')
  const own = cluster.worker ? { worker: cluster.worker.id } : {}
  const logger = createLogger({ level: settings.logLevel, format: settings.logFormat, own })
  // The primary has told of them already.
  if (cluster.isPrimary) for (const line of warnings) logger.warn(line)
  try {
    const { run } = await import('./run.ts')
    await run(settings, logger)
  } catch (error) {
    fail(`cannot start: ${describe(error, logger.isDebug)}`, 1)
    await logger.flush()
    // What was opened before the fault must not keep a half-started gateway alive.
    process.exit()
  }
}

/** Also reads what the settings name. */
async function check(settings: Settings): Promise<void> {
  const { checkFiles } = await import('./check.ts')
  const { problems, warnings } = await checkFiles(settings)
  for (const line of warnings) console.error(`warning: ${line}`)
  for (const line of problems) fail(line, 1)
  if (problems.length === 0) console.log('settings are valid')
}

async function backUp(file: string): Promise<void> {
  const { loadSettings } = await import('./config/settings.ts')
  const { backUp } = await import('./ledger/sqlite/backup/backUp.ts')
  try {
    const { jobs, bytes } = await backUp(loadSettings().stateUrl, file)
    console.log(`${file} holds ${jobs} jobs in ${bytes} bytes`)
  } catch (error) {
    fail(`no backup: ${describe(error, process.env['LOG_LEVEL'] === 'debug')}`, 1)
  }
}

/** Its progress goes to standard error, so that standard output has the summary alone. */
async function copyState(from: string, to: string): Promise<void> {
  const { loadSettings } = await import('./config/settings.ts')
  const { copyState, summaryOf } = await import('./ledger/copyState/index.ts')
  const tell = (message: string): void => console.error(message)
  try {
    const { stateUrl, replicaTimeoutSeconds } = loadSettings()
    const urlOf = (word: string): string => (word === 'STATE_URL' ? stateUrl : word)
    const copied = await copyState({
      from: urlOf(from),
      to: urlOf(to),
      replicaTimeoutSeconds,
      logger: { debug: () => {}, info: () => {}, warn: tell, error: tell },
      onProgress: (jobs, all) => tell(`${jobs} of ${all} jobs copied`),
    })
    console.log(summaryOf(copied))
  } catch (error) {
    fail(`not copied: ${describe(error, process.env['LOG_LEVEL'] === 'debug')}`, 1)
  }
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = than.split('.').map(Number)
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
}

async function main(given: string[]): Promise<void> {
  const args = given.map((arg) => shortForms.get(arg) ?? arg)
  if (isOlder(process.versions.node, oldestNode)) {
    return fail(`infernet-gateway needs Node ${oldestNode} or newer; this is ${process.versions.node}`, 1)
  }
  if (args[0] === '--backup') {
    const [, file, ...more] = args
    if (!file || file.startsWith('-') || more.length > 0) return fail('--backup needs the name of a new file, alone', 2)
    return backUp(file)
  }
  if (args[0] === '--copy-state') {
    const [, from, to, ...more] = args
    const isComplete = from && to && ![from, to].some((url) => url.startsWith('-')) && more.length === 0
    if (!isComplete) return fail('--copy-state needs two URLs as STATE_URL may be, FROM and TO, alone', 2)
    return copyState(from, to)
  }
  const unknown = args.find((arg) => !options.includes(arg))
  if (unknown !== undefined) return fail(`unknown option ${unknown}; --help lists the options`, 2)
  if (args.includes('--help')) {
    const { settingsHelp } = await import('./config/settings.ts')
    return console.log(`${usage}\n${settingsHelp()}`)
  }
  if (args.includes('--version')) return printVersion()
  if (args.includes('--settings')) {
    const { settingsTable } = await import('./config/settings.ts')
    return console.log(settingsTable())
  }
  return start(args.includes('--check'))
}

main(process.argv.slice(2)).catch((error: unknown) => {
  fail(`cannot start: ${describe(error, process.env['LOG_LEVEL'] === 'debug')}`, 1)
})
