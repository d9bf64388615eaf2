/**
 * `npm run chaos`: thousands of jobs while nodes and the gateway are killed, hung and restarted; with `--replicas`, several
 * gateways and the Redis that they share. In the end every acknowledged job has one final state, which never changed once it was
 * told; its caller alone can see it, and its result is that of its own input; otherwise the exit code is 1.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Cleanups } from '../kit/cleanups.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'
import { redisMissing } from '../kit/redisServer.ts'
import { seededRandom } from '../kit/routingSimulation/random.ts'
import { Caller } from './caller.ts'
import { check } from './checks.ts'
import { readOptions, usage, type ChaosOptions } from './options.ts'
import { summarize } from './summary.ts'
import { Troubles } from './troubles.ts'
import { createWorld } from './world.ts'

/** Returns whether all that has to hold held. */
async function run(options: ChaosOptions, cleanups: Cleanups): Promise<boolean> {
  const startedAt = performance.now()
  const seconds = (): number => (performance.now() - startedAt) / 1000
  const tell = (line: string): void => {
    if (options.verbose) console.log(`${seconds().toFixed(1).padStart(6)} s  ${line}`)
  }
  if (options.replicas > 1 && redisMissing) throw new Error(redisMissing)
  const world = await createWorld(cleanups, options)
  const { gateways } = world
  tell('all is well')
  const troubles = new Troubles({ world, random: seededRandom(options.seed), tell })
  const callers = Array.from({ length: options.callers }, (_, index) => {
    const random = seededRandom(options.seed * 1000 + index)
    const url = (): string => gateways[Math.floor(random() * gateways.length)]!.url
    const caller = new Caller(index + 1, { url, random, isDoubtful: () => troubles.isHistoryOpen })
    cleanups.after(() => caller.close())
    return caller
  })

  const over = new AbortController()
  const trouble = troubles.run(over.signal)
  await Promise.all(callers.map((caller) => caller.work(Math.ceil(options.jobs / options.callers), options.seconds)))
  over.abort()
  await trouble
  tell('no more trouble')

  await settle(callers, options.settleSeconds)
  tell('all is at rest')
  const findings = await check(callers, world)
  if (options.verbose && findings.violations.length > 0) for (const { output } of gateways) console.log(output)
  console.log(summarize({ options, callers, troubles, gateways, findings, seconds: seconds() }))
  return findings.violations.length === 0
}

/** Until all jobs have ended, or the time is up. */
async function settle(callers: readonly Caller[], withinSeconds: number): Promise<void> {
  const endsAt = performance.now() + withinSeconds * 1000
  const isWaiting = (caller: Caller): boolean => caller.acknowledged.some(({ end }) => end === undefined)
  while (callers.some(isWaiting) && performance.now() < endsAt) {
    await Promise.all(callers.filter(isWaiting).map((caller) => caller.poll()))
    await sleep(500)
  }
}

async function main(args: string[]): Promise<void> {
  const options = readOptions(args)
  if (!options) {
    console.error(usage)
    process.exitCode = 2
    return
  }
  const cleanups = new Cleanups()
  endOnSignal(() => cleanups.run())
  try {
    if (!(await run(options, cleanups))) process.exitCode = 1
  } finally {
    await cleanups.run()
  }
}

await main(process.argv.slice(2))
