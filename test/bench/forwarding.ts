/**
 * What forwarding costs: `npm run bench -- [option …]`; an unknown option prints what there is.
 *
 * Without an option: every line that has a goal, but for the memory, beside other proxies, with a summary at the end.
 * Loopback only; Linux only, for it reads /proc.
 */
import { existsSync } from 'node:fs'
import { Cleanups } from '../kit/cleanups.ts'
import { Findings } from './forwarding/findings.ts'
import { measureHostile } from './forwarding/hostile/index.ts'
import { measureLives } from './forwarding/lives.ts'
import { measureMemory } from './forwarding/memory.ts'
import { measureChat, measureEvents } from './forwarding/openai/index.ts'
import { readOptions, usage } from './forwarding/options.ts'
import { measureProfile } from './forwarding/profile.ts'
import { measureReads } from './forwarding/reads.ts'
import { measureReplicas } from './forwarding/replicas/index.ts'
import { measureSeen } from './forwarding/seen.ts'
import { measureStreams } from './forwarding/streams.ts'
import { measureSubmissions } from './forwarding/submissions.ts'
import { measureTurns } from './forwarding/turns/index.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'

if (!existsSync('/proc/self/stat')) {
  console.error('This benchmark reads CPU times from /proc, which is not here.')
  process.exit(1)
}

const options = readOptions(process.argv.slice(2))
if (!options) {
  console.error(usage)
  process.exit(2)
}

const cleanups = new Cleanups()
endOnSignal(() => cleanups.run())

const measures = {
  submissions: measureSubmissions,
  chat: measureChat,
  events: measureEvents,
  reads: measureReads,
  life: measureLives,
  seen: measureSeen,
  streams: measureStreams,
  memory: measureMemory,
  replicas: measureReplicas,
  profile: measureProfile,
  hostile: measureHostile,
  turns: measureTurns,
}
const findings = new Findings()
const took: string[] = []
for (const part of options.parts) {
  const startedAt = performance.now()
  try {
    await measures[part](cleanups, options, findings)
  } catch (error) {
    // What the other parts find is worth having.
    console.error(`${part} failed:`, error)
    process.exitCode = 1
  } finally {
    await cleanups.run()
  }
  took.push(`${part} ${Math.round((performance.now() - startedAt) / 1000)}`)
}
if (!findings.isEmpty) {
  console.log(`All that was measured beside its goal\n\n${findings.summary()}\n`)
  if (!options.parts.has('memory')) console.log('The memory over 500,000 jobs takes long: --memory measures it.')
  console.log(`Seconds: ${took.join(', ')}`)
}
