/** A simulated OpenAI-compatible service. */
export type { Script } from './ask.ts'
export type { ServiceEndpoint, SimServiceOptions } from './options.ts'
export { SimService, startSimService } from './simService.ts'
export type { ServiceCommand, ServiceCounts, ServiceSettable } from './simService.ts'
