/* What the rest knows of gateways that share a ledger. */
export type {
  BudgetGrant,
  BudgetQuestion,
  Coordination,
  JobOwner,
  KeyTurn,
  KeyUse,
  Membership,
  MembershipEvents,
  NoRoom,
  ReplicaState,
  Room,
  RoomLimits,
  SharedBudget,
  SharedBudgets,
  SharedKeys,
  SharedRoom,
  SharedValues,
} from './coordination.ts'
export { type LifeStore, ReplicaLife } from './life.ts'
export type { SeenReplica } from './observer.ts'
