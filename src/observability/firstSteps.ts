import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import type { Logger } from './logger.ts'

/** What says where backends come from, and where the gateway listens. */
export interface FirstSteps {
  readonly ipsFile: string
  /** Whether other sources are named: an explorer, a file of services. */
  readonly hasOtherSources: boolean
  readonly host: string
  readonly port: number
}

/** On a start without any backend: one line that says what to write where, and where the dashboard is. */
export function tellFirstSteps({ ipsFile, hasOtherSources, host, port }: FirstSteps, logger: Logger): void {
  if (hasOtherSources || hasEntries(ipsFile)) return
  const file = path.resolve(ipsFile)
  const dashboard = `http://${reachable(host)}:${port}/dashboard`
  logger.warn(
    `no backends are listed yet: write the addresses of your nodes to ${file}, one a line, such as 192.0.2.10:4000, or name a ` +
      `file of OpenAI-compatible services in SERVICES_FILE; changes of ${path.basename(file)} count within a second, and ` +
      `${dashboard} shows the backends`,
    { file, dashboard },
  )
}

/** Whether the file has a line that could be an address; what cannot be read is told of elsewhere. */
function hasEntries(file: string): boolean {
  try {
    return /^[^\S\n]*[^#\s]/m.test(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** An address at which this machine itself finds the gateway. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIPv6(host) ? `[${host}]` : host
}
