/** A simulated OpenAI-compatible service. */
export type { SimServiceOptions } from './options.ts'
export { SimService, startSimService } from './simService.ts'
