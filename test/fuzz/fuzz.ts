/**
 * `npm run fuzz -- --seed N --cases N`: mutated requests to every endpoint over raw sockets, in front of backends whose
 * answers are hostile as often as not. Exit code 1 where the gateway ends, answers 500, gives a request two answers or none,
 * sends an error that is no JSON, or keeps places, descriptors or memory. Loopback only; Linux only, for it reads /proc.
 */
import { existsSync } from 'node:fs'
import { Cleanups } from '../kit/cleanups.ts'
import { endOnSignal } from '../kit/endOnSignal.ts'
import type { Gateway } from '../kit/gateway.ts'
import { createCase, type FuzzCase } from './cases.ts'
import { readOptions, usage, type FuzzOptions } from './options.ts'
import { runCase, type Verdict } from './runner.ts'
import { atRest, createWorld, holdingsOf } from './world.ts'

/** Descriptors that pooled connections and the ledger may have opened since the beginning. */
const DESCRIPTORS_LEEWAY = 40
/** The round after which memory is level, and by how much it may grow from there: the collector takes its time. */
const LEVEL_ROUND = 3
const GROWTH = 1.25
const GROWTH_BYTES = 48e6
const MOST_SHOWN = 10

/** What went wrong, by rule, with the cases that showed it first. */
class Findings {
  readonly #found = new Map<string, number[]>()
  readonly statuses = new Map<number, number>()
  answers = 0

  note(number: number, { faults, answers }: Verdict): void {
    this.answers += answers.length
    for (const { status } of answers) this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    for (const fault of faults) this.add(fault, number)
  }

  add(fault: string, number = -1): void {
    const cases = this.#found.get(fault) ?? []
    cases.push(number)
    this.#found.set(fault, cases)
  }

  get isEmpty(): boolean {
    return this.#found.size === 0
  }

  lines(): string[] {
    return [...this.#found].map(([fault, cases]) => {
      const shown = cases.slice(0, MOST_SHOWN).filter((number) => number >= 0)
      return `  ${cases.length} × ${fault}${shown.length > 0 ? ` (cases ${shown.join(', ')})` : ''}`
    })
  }
}

/** What all rounds of a run have in common. */
interface FuzzRun {
  readonly gateway: Gateway
  readonly options: FuzzOptions
  readonly findings: Findings
  readonly life: { isAlive(): boolean }
}

async function run(options: FuzzOptions, cleanups: Cleanups): Promise<boolean> {
  const startedAt = performance.now()
  const { seed, cases, rounds } = options
  const { gateway } = await createWorld(cleanups, seed)
  const life = watchLife(gateway)
  if (options.only !== undefined) return runOne(gateway, createCase(seed, options.only))

  const findings = new Findings()
  const memory: number[] = []
  await atRest(gateway)
  const before = holdingsOf(gateway)
  for (let round = 0; round < rounds && life.isAlive(); round++) {
    const first = Math.floor((cases * round) / rounds)
    const end = Math.floor((cases * (round + 1)) / rounds)
    await runRange({ gateway, options, findings, life }, first, end)
    if (!life.isAlive()) break
    await atRest(gateway).catch((error: unknown) => findings.add((error as Error).message))
    const { descriptors, residentBytes } = holdingsOf(gateway)
    memory.push(residentBytes)
    if (descriptors > before.descriptors + DESCRIPTORS_LEEWAY) {
      findings.add(`${descriptors} descriptors where ${before.descriptors} were open at the beginning`)
    }
    console.log(`round ${round + 1}: ${end} cases, ${Math.round(residentBytes / 1e6)} MB, ${descriptors} descriptors`)
  }
  if (!life.isAlive()) findings.add('the gateway ended')
  const level = memory[LEVEL_ROUND - 1]
  if (level !== undefined && Math.max(...memory.slice(LEVEL_ROUND)) > level * GROWTH + GROWTH_BYTES) {
    findings.add(`memory grew from ${Math.round(level / 1e6)} MB after round ${LEVEL_ROUND}`)
  }
  for (const line of gateway.logs) if (line.level === 'error' || line.level === 'raw') findings.add(saidBy(line))
  console.log(summary(options, findings, (performance.now() - startedAt) / 1000))
  if (!life.isAlive()) console.log(gateway.output.slice(-5000))
  return findings.isEmpty
}

function saidBy({ message, error }: Record<string, unknown>): string {
  return `the log says: ${String(message)} ${JSON.stringify(error ?? '').slice(0, 300)}`
}

function watchLife(gateway: Gateway): { isAlive(): boolean } {
  let isAlive = true
  void gateway.exited.then(() => (isAlive = false))
  return { isAlive: () => isAlive }
}

/** Runs the cases from `first` up to, not including, `end`. */
async function runRange({ gateway, options, findings, life }: FuzzRun, first: number, end: number): Promise<void> {
  const { seed, parallel } = options
  let next = first
  const worker = async (): Promise<void> => {
    while (next < end && life.isAlive()) {
      const one = createCase(seed, next++)
      findings.note(one.number, await runCase(gateway.port, one))
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

async function runOne(gateway: Gateway, one: FuzzCase): Promise<boolean> {
  console.log(one.packets.map((packet) => JSON.stringify(packet.toString('latin1'))).join('\n'))
  console.log({ ...one, packets: undefined })
  const verdict = await runCase(gateway.port, one)
  console.log(JSON.stringify(verdict.received))
  for (const fault of verdict.faults) console.log(`! ${fault}`)
  for (const line of gateway.logs) console.log(JSON.stringify(line))
  return verdict.faults.length === 0
}

function summary({ seed, cases }: FuzzOptions, findings: Findings, seconds: number): string {
  const statuses = [...findings.statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} × ${status}`)
  return [
    `seed ${seed}: ${cases} cases, ${findings.answers} answers, ${seconds.toFixed(0)} s`,
    `statuses  ${statuses.join(', ')}`,
    findings.isEmpty ? 'nothing broke' : 'broken:',
    ...findings.lines(),
  ].join('\n')
}

const options = readOptions(process.argv.slice(2))
if (!options || !existsSync('/proc/self/status')) {
  console.error(options ? 'The fuzz run reads /proc, which is not here.' : usage)
  process.exit(2)
}
const cleanups = new Cleanups()
endOnSignal(() => cleanups.run())
try {
  if (!(await run(options, cleanups))) process.exitCode = 1
} finally {
  await cleanups.run()
}
process.exit()
