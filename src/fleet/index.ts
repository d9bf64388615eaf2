/* What features know of the backends. */
export { AddressError, type NodeSpec, parseAddress, urlOf } from './address.ts'
export type { Fleet } from './fleet.ts'
export type { ContainerInfo } from './info.ts'
export type { TrackedNode } from './node.ts'
export { CallBudget } from './politeness.ts'
export { keyHeaderOf } from './serviceKey.ts'
export { namesOf, type ServiceModels } from './serviceModels.ts'
export { REPORT_SECONDS, type WorkerReport, WorkerReports } from './workerReports.ts'
