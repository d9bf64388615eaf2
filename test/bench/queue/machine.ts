import { cpus } from 'node:os'

/** Above this share of the machine's processors, waits are those of the machine too. */
export const MOST_CPU = 0.8

interface Processors {
  readonly busy: number
  readonly all: number
}

/** Begins to measure; the function that it returns gives the share of all processors that was busy since. */
export function watchMachine(): () => number {
  const before = processors()
  return () => {
    const after = processors()
    return (after.busy - before.busy) / Math.max(1, after.all - before.all)
  }
}

function processors(): Processors {
  let [busy, all] = [0, 0]
  for (const { times } of cpus()) {
    const each = times.user + times.nice + times.sys + times.irq + times.idle
    all += each
    busy += each - times.idle
  }
  return { busy, all }
}
