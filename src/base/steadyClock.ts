import { SteadyClock } from './clocks.ts'

/** The clock of this thread. */
export const steadyClock = new SteadyClock()
