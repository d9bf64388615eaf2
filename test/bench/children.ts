/** The processes that benchmarks start. */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a process may take until it is ready, ms. */
const START_MS = 30_000

/** Resolves once the answer at this address contains the sign; rejects where the process ends, or takes too long. */
export async function untilSaid(child: ChildProcess, url: string, sign: string): Promise<void> {
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await sleep(50)) {
    if (child.exitCode !== null) break
    const text = await fetch(url)
      .then((answer) => answer.text())
      .catch(() => '')
    if (text.includes(sign)) return
  }
  throw new Error(`${child.spawnfile} is not ready`)
}

const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** Ends the child with this process, however that ends by itself. */
export function withUs(child: ChildProcess): ChildProcess {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}
