import type { ImageConflict } from './conflicts.ts'
import type { EngineLoad } from './engines/engineLoad.ts'
import type { LeftOut } from './info.ts'
import type { Avoided, FreedBy } from './load/outliers/outliers.ts'
import type { TrackedNode } from './node.ts'

/** Events of the fleet. */
export interface FleetEvents {
  'node:up': [node: TrackedNode]
  'node:down': [node: TrackedNode, reason: string]
  'node:added': [node: TrackedNode]
  'node:removed': [node: TrackedNode]
  /** No list names it, or none yet, and jobs of an earlier run are there. */
  'node:adopted': [node: TrackedNode]
  'node:ejected': [node: TrackedNode, reason: string]
  /** It answers one kind of work worse than its siblings, and is set aside for that; again after each trial that it refused. */
  'node:avoided': [node: TrackedNode, avoided: Avoided]
  /** It gets that kind of work again. */
  'node:freed': [node: TrackedNode, kind: string, by: FreedBy]
  /** Several nodes answer in turn at its address, or no longer do. */
  'node:in-turn': [node: TrackedNode, isInTurn: boolean]
  /** The engine behind a service has reported its load. */
  'service:load': [node: TrackedNode, load: EngineLoad]
  /** It lists ids that are too long, or too many; told once for each node. */
  'node:leftOut': [node: TrackedNode, leftOut: LeftOut]
  /** This machine lacks what a connection needs; told once until all nodes can be asked again. */
  'polls:blocked': [reason: string]
  'image:conflict': [conflict: ImageConflict]
  /** So many more conflicts were found, too many to tell each. */
  'image:conflicts': [more: number]
}
