import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import type { Logger } from './logger.ts'

/** What says where backends come from, and where the gateway listens. */
export interface FirstSteps {
  readonly ipsFile: string
  /** Empty where none is named. */
  readonly servicesFile: string
  /** Whether others are asked for backends, such as an explorer. */
  readonly isDiscovering: boolean
  readonly host: string
  readonly port: number
}

/** On a start without any backend: one line that says what to write where, and where the dashboard is. */
export function tellFirstSteps(steps: FirstSteps, logger: Logger): void {
  const { ipsFile, servicesFile, isDiscovering, host, port } = steps
  if (isDiscovering || hasText(ipsFile, ADDRESS) || (servicesFile !== '' && hasText(servicesFile, OBJECT))) return
  const file = path.resolve(ipsFile)
  const services = servicesFile === '' ? 'a file that SERVICES_FILE names' : path.resolve(servicesFile)
  const dashboard = `http://${reachable(host)}:${port}/dashboard`
  logger.warn(
    `no backends are listed yet: write the addresses of your nodes to ${file}, one a line, such as 192.0.2.10:4000, or ` +
      `OpenAI-compatible services to ${services}; ${dashboard} shows them as soon as a file has changed`,
    { file, dashboard },
  )
}

/** A line that is neither empty nor a comment. */
const ADDRESS = /^[^\S\n]*[^#\s]/m
/** The beginning of a service, or of what is told of as no list of services. */
const OBJECT = /\{/

/** Whether the file has such text, or cannot be read, of which is told elsewhere. */
function hasText(file: string, pattern: RegExp): boolean {
  try {
    return pattern.test(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** An address at which this machine itself finds the gateway. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIPv6(host) ? `[${host}]` : host
}
