import type { Fleet } from '../fleet/fleet.ts'
import { describeKind } from '../dispatch/judge.ts'
import type { FreedBy } from '../fleet/load/outliers/outliers.ts'
import { shortened } from '../dispatch/requirement.ts'
import type { LiveJobs } from '../jobs/liveJobs.ts'
import { memberOf, scanObject, stringAt } from '../json/index.ts'
import { jobSeconds } from './jobSeconds.ts'
import type { Logger } from './logger.ts'

export const SEVERAL_NODES = 'several nodes answer in turn at this address, so a job unknown there is not run again'
export const SEVERAL_NODES_ADVICE = 'list each of them, or dns://name:port if every address behind a name is a node'

/** Changes of one turn of the event loop that have a line each. */
const MOST_SINGLE_LINES = 20
/** Nodes named for each image of a conflict; `/stats` names them all. */
const MOST_NAMES = 3

const FREED_BY: Readonly<Record<FreedBy, string>> = {
  trial: 'it served a request that tried it',
  siblings: 'its siblings refuse as well, or it did serve',
  age: 'nothing was asked of it for long',
}

/** One line for each event in the life of the fleet. */
export function logFleet(fleet: Fleet, logger: Logger): void {
  const added = new Gathered((fields) => logger.debug('node added', fields))
  const removed = new Gathered((fields) => logger.info('node removed from the list', fields))
  fleet.on('node:added', ({ name }) => added.tell(name))
  fleet.on('node:removed', ({ name }) => removed.tell(name))
  fleet.on('node:up', (node) => logger.info('node up', { node: node.name }))
  fleet.on('node:down', (node, reason) => {
    // Who drains a node means to switch it off.
    logger[node.isDraining ? 'info' : 'warn']('node down', { node: node.name, reason })
  })
  fleet.on('node:ejected', (node, reason) => {
    logger.warn('node ejected for a while, its requests keep failing', { node: node.name, reason })
  })
  fleet.on('node:avoided', (node, { kind, reason, until }) => {
    const seconds = Math.ceil(until - fleet.now())
    const fields = { node: node.name, kind: shortened(describeKind(kind)), reason, seconds }
    logger.warn('node set aside for one kind of work, it answers worse than its siblings', fields)
  })
  fleet.on('node:freed', (node, kind, by) => {
    const fields = { node: node.name, kind: shortened(describeKind(kind)), reason: FREED_BY[by] }
    logger.info('node gets that kind of work again', fields)
  })
  fleet.on('node:in-turn', (node, isInTurn) => {
    if (isInTurn) logger.warn(`${SEVERAL_NODES}; ${SEVERAL_NODES_ADVICE}`, { node: node.name })
    else logger.info('one node answers at this address again', { node: node.name })
  })
  fleet.on('node:leftOut', (node, leftOut) =>
    logger.warn('some of what the node lists is left out: ids that are too long, or too many', {
      node: node.name,
      ...leftOut,
    }),
  )
  fleet.on('polls:blocked', (reason) =>
    logger.warn('this machine cannot open connections to ask its nodes', { reason }),
  )
  fleet.on('image:conflict', ({ container, images }) => {
    const told = Object.entries(images).map(([image, names]) => [
      image,
      { count: names.length, nodes: names.slice(0, MOST_NAMES) },
    ])
    logger.warn('one container id stands for different images', { container, images: Object.fromEntries(told) })
  })
  fleet.on('image:conflicts', (more) => logger.warn('more container ids stand for different images', { more }))
}

/** Events that come by the thousand when a list changes: a few have a line each, more of one turn have one together. */
class Gathered {
  readonly #log: (fields: { node?: string; nodes?: number; first?: readonly string[] }) => void
  #names: string[] = []

  constructor(log: (fields: { node?: string; nodes?: number; first?: readonly string[] }) => void) {
    this.#log = log
  }

  tell(name: string): void {
    if (this.#names.push(name) === 1) setImmediate(() => this.#write())
  }

  #write(): void {
    const names = this.#names
    this.#names = []
    if (names.length > MOST_SINGLE_LINES) this.#log({ nodes: names.length, first: names.slice(0, MOST_NAMES) })
    else for (const node of names) this.#log({ node })
  }
}

/** One line for each job that failed, with its reason; for those who debug, one for each that ended. */
export function logJobs(live: LiveJobs, logger: Logger): void {
  live.on('ended', ({ record, node }, { state, result }) => {
    if (state === 'success' && !logger.isDebug) return
    const { id, caller, containers, runs } = record
    const seconds = Math.round(jobSeconds(record) * 1000) / 1000
    const fields = { job: id, node: node.name, caller, containers: shortened(containers.join(',')), runs, seconds }
    if (state === 'failed') logger.warn('job failed', { ...fields, reason: failureIn(result) })
    else logger.debug('job ended', { ...fields, state })
  })
}

/** Longest result that is looked through for the reason of a failure, bytes, and most of that reason. */
const MOST_RESULT = 64 * 1024
const MOST_REASON = 500

/** What a failed job's result says, which is `{"container","error"}`. */
function failureIn(result: Buffer): string {
  // A long one is in the ledger only.
  if (result.length === 0 || result.length > MOST_RESULT) return 'its result, which is too long for the log'
  try {
    const error = memberOf(scanObject(result), 'error')
    if (error?.kind === 'string') return stringAt(result, error).slice(0, MOST_REASON)
    const { start, end } = error ?? { start: 0, end: result.length }
    return result.toString('utf8', start, Math.min(end, start + MOST_REASON))
  } catch {
    return 'its result, which is not JSON'
  }
}
