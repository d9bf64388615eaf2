/**
 * What forwarding costs: `npm run bench -- [--quick | --openai | --profile | --streams | --memory | --hostile | --turns]`.
 *
 * Without an option: CPU time per forwarded `POST /api/jobs` of the gateway beside other proxies, in one run, then
 * the same of chat completions, the profile and the streams. Loopback only; Linux only, for it reads /proc.
 */
import { existsSync } from 'node:fs'
import { Cleanups } from './forwarding/cleanups.ts'
import { measureHostile } from './forwarding/hostile/index.ts'
import { measureJobCost } from './forwarding/jobCost.ts'
import { measureMemory } from './forwarding/memory.ts'
import { measureOpenAi } from './forwarding/openai/index.ts'
import { readOptions, usage } from './forwarding/options.ts'
import { measureProfile } from './forwarding/profile.ts'
import { measureTurns } from './forwarding/turns/index.ts'
import { measureStreams } from './forwarding/streams.ts'
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
  jobs: measureJobCost,
  openai: measureOpenAi,
  profile: measureProfile,
  streams: measureStreams,
  memory: measureMemory,
  hostile: measureHostile,
  turns: measureTurns,
}
for (const part of options.parts) {
  try {
    await measures[part](cleanups, options)
  } finally {
    await cleanups.run()
  }
}
