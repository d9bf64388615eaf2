import type { Check } from './checks.ts'
import { contextOf } from './context.ts'

/** The request is for a page of the gateway itself: what is counted of clients leaves it out. */
export const noteOwnPage: Check = (req) => {
  contextOf(req).isOwnPage = true
}
