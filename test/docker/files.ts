/** The files of docker/, parsed. */
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'

export const DOCKER = fileURLToPath(new URL('../../docker/', import.meta.url))

/** What the tests read of a Compose file. */
export interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>
}

interface ComposeService {
  readonly environment: Readonly<Record<string, string>>
  readonly env_file?: readonly (string | { readonly path: string; readonly required: boolean })[]
  readonly volumes?: readonly string[]
  readonly logging?: { readonly driver: string; readonly options: Readonly<Record<string, string>> }
  readonly command: readonly string[]
  readonly networks: readonly string[]
  readonly ports?: readonly string[]
  /** As `40s`. */
  readonly stop_grace_period: string
}

interface Labelled {
  readonly matchLabels: Readonly<Record<string, string>>
}

/** What the tests read of a manifest; which members it has depends on its kind. */
export interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data: Readonly<Record<string, string>>
  /** Of a kustomization. */
  readonly resources?: readonly string[]
  readonly spec: {
    readonly replicas: number
    readonly maxUnavailable: number
    readonly selector: Labelled
    readonly strategy: { readonly type: string; readonly rollingUpdate: { readonly maxUnavailable: number } }
    readonly clusterIP?: string
    readonly ports: readonly [{ readonly port: number }]
    readonly template: { readonly metadata: { readonly labels: Labelled['matchLabels'] }; readonly spec: Pod }
  }
}

interface Pod {
  readonly terminationGracePeriodSeconds: number
  readonly containers: readonly [Container]
}

interface Probe {
  readonly httpGet: { readonly path: string }
}

interface Container {
  readonly command: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } }
  readonly volumeMounts: readonly { readonly mountPath: string }[]
  readonly readinessProbe: Probe
  readonly livenessProbe: Probe
  readonly startupProbe: Probe
}

/** All documents of a YAML file, with its anchors and merges resolved. Throws where it is none. */
export async function readYaml<Document>(name: string): Promise<Document[]> {
  const documents = parseAllDocuments(await readFile(DOCKER + name, 'utf8'), { merge: true })
  if (!Array.isArray(documents)) return []
  return documents.map((document) => {
    if (document.errors[0]) throw document.errors[0]
    return document.toJS() as Document
  })
}

export async function yamlFiles(): Promise<string[]> {
  const names = await readdir(DOCKER, { recursive: true })
  return names.filter((name) => /\.ya?ml$/.test(name))
}
