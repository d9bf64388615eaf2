import type { Fleet } from '../fleet/index.ts'

/** Containers whose answer is remembered; beyond that they are looked for anew. */
const MOST_REMEMBERED = 1000

/** What is known of a fleet at one version of it. */
interface Known {
  readonly version: number
  /** At least one node is listed, and each has told what it runs. */
  readonly isComplete: boolean
  /** Whether any node runs a container. */
  readonly runs: Map<string, boolean>
}

const known = new WeakMap<Fleet, Known>()

/**
 * The first of these containers that no listed node runs, healthy or not; undefined where each is run somewhere, or where that
 * cannot be said yet: no node is listed, or one has never told what it runs.
 */
export function unsupportedIn(containers: readonly string[], fleet: Fleet): string | undefined {
  const { isComplete, runs } = knownOf(fleet)
  return isComplete ? containers.find((id) => !isRun(id, runs, fleet)) : undefined
}

function knownOf(fleet: Fleet): Known {
  const before = known.get(fleet)
  if (before?.version === fleet.version) return before
  const nodes = [...fleet.nodes.values()].filter(({ isInfernet }) => isInfernet)
  const isComplete = nodes.length > 0 && nodes.every(({ info }) => info !== undefined)
  const now = { version: fleet.version, isComplete, runs: new Map<string, boolean>() }
  known.set(fleet, now)
  return now
}

function isRun(id: string, runs: Map<string, boolean>, fleet: Fleet): boolean {
  let found = runs.get(id)
  if (found === undefined) {
    found = [...fleet.nodes.values()].some(({ containers }) => containers.has(id))
    if (runs.size < MOST_REMEMBERED) runs.set(id, found)
  }
  return found
}
