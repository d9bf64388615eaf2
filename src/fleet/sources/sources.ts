import type { BadLines } from '../../base/badLines.ts'
import type { KeptTexts } from '../../base/keptTexts.ts'
import type { Logger } from '../../base/logger.ts'
import type { ForwardProxies } from '../forwardProxies.ts'
import { Explorer } from './explorer.ts'
import { IpsFile } from './ipsFile.ts'
import { Registry } from './registry.ts'
import { ServicesFile } from './servicesFile.ts'
import type { NodeSource } from './source.ts'

/** The settings that say where backends are listed. */
export interface ListSettings {
  readonly ipsFile: string
  /** Empty where there is none, as the next two. */
  readonly apiUrl: string
  readonly registryUrl: string
  readonly servicesFile: string
  readonly discoveryAllowPrivate: boolean
  readonly refreshIntervalSeconds: number
  /** To which the services file may refer as `${NAME}`. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface SourceDeps {
  readonly logger: Logger
  readonly proxies: ForwardProxies
  readonly badLines: BadLines
  /** After how long a list that lost most of its entries is believed; for tests. */
  readonly believeAfterMs?: number | undefined
  /** Where the last good texts of files are kept for a worker that replaces this one. */
  readonly kept?: KeptTexts | undefined
}

/** Everywhere that backends are listed; of two spellings of one backend that of the first source stands. */
export function sourcesOf(settings: ListSettings, deps: SourceDeps): NodeSource[] {
  const { ipsFile, apiUrl, registryUrl, servicesFile, environment } = settings
  const { refreshIntervalSeconds: intervalSeconds, discoveryAllowPrivate: allowPrivate } = settings
  const { logger, proxies, badLines, believeAfterMs, kept } = deps
  const sources: NodeSource[] = [new IpsFile(ipsFile, logger, { intervalSeconds, believeAfterMs, badLines, kept })]
  if (apiUrl !== '') {
    sources.push(new Explorer({ apiUrl, intervalSeconds, allowPrivate, proxies, believeAfterMs }, logger))
  }
  if (servicesFile !== '') {
    const readVariable = variablesOf(environment)
    sources.push(new ServicesFile(servicesFile, logger, { believeAfterMs, readVariable, badLines, kept }))
  }
  if (registryUrl !== '') {
    sources.push(new Registry({ registryUrl, intervalSeconds, allowPrivate, proxies, believeAfterMs }, logger))
  }
  return sources
}

/** Looks up variables, and nothing that every object has. */
export function variablesOf(environment: ListSettings['environment']): (name: string) => string | undefined {
  return (name) => (Object.hasOwn(environment, name) ? environment[name] : undefined)
}
