import { cpus, loadavg } from 'node:os'
import { cpuSeconds } from './cpu.ts'
import type { LoadResult } from './load.ts'
import { median, quantile, table } from './report.ts'

/** Something that is measured beside others. */
export interface Subject {
  readonly name: string
  /** Of the proxy; none where the backend itself is asked. */
  readonly pid: number | undefined
}

/** One subject's turn in one round. */
export interface Turn {
  readonly perSecond: number
  /** CPU of the proxy's processes for each request, what follows from the request later included. */
  readonly cpuMicroseconds: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

export const cpuOfTurn = (turn: Turn): number => turn.cpuMicroseconds
export const p50OfTurn = (turn: Turn): number => turn.p50Ms
export const p99OfTurn = (turn: Turn): number => turn.p99Ms

/** Measures one turn; `settled` resolves when the proxy has done what follows from the requests. */
export async function turnOf(
  pid: number | undefined,
  run: () => Promise<LoadResult>,
  settled?: (result: LoadResult) => Promise<unknown>,
): Promise<Turn> {
  const before = cpuOf(pid)
  const result = await run()
  await settled?.(result)
  return {
    perSecond: result.requests / result.seconds,
    cpuMicroseconds: ((cpuOf(pid) - before) / result.requests) * 1e6,
    meanMs: result.latenciesMs.reduce((sum, ms) => sum + ms, 0) / result.requests,
    p50Ms: quantile(result.latenciesMs, 0.5),
    p99Ms: quantile(result.latenciesMs, 0.99),
    errors: result.errors,
  }
}

function cpuOf(pid: number | undefined): number {
  return pid === undefined ? 0 : cpuSeconds(pid)
}

/** The turns of each subject, by round. */
export class Rounds<S extends Subject, T = Turn> {
  readonly subjects: readonly S[]
  readonly #turns: ReadonlyMap<S, T[]>

  private constructor(subjects: readonly S[]) {
    this.subjects = subjects
    this.#turns = new Map(subjects.map((subject) => [subject, []]))
  }

  /** All subjects in turn, round after round, so that whatever else the machine does hits all. */
  static async run<S extends Subject, T>(
    subjects: readonly S[],
    rounds: number,
    take: (subject: S) => Promise<T>,
  ): Promise<Rounds<S, T>> {
    const all = new Rounds<S, T>(subjects)
    for (let round = 0; round < rounds; round++) {
      for (const subject of subjects) all.#turns.get(subject)!.push(await take(subject))
    }
    return all
  }

  of(subject: S): readonly T[] {
    return this.#turns.get(subject)!
  }

  /** One number of each turn; nothing of a subject that is not there. */
  values(subject: S | undefined, what: (turn: T) => number): number[] | undefined {
    return subject && this.of(subject).map(what)
  }
}

/** Round by round: whatever the machine did then, it did to both. */
export function ratios(ones: readonly number[], others: readonly number[]): number[] {
  return ones.map((one, round) => one / others[round]!)
}

export function differences(ones: readonly number[], others: readonly number[]): number[] {
  return ones.map((one, round) => one - others[round]!)
}

/** What the turns of a table are set beside. */
interface Beside<S> {
  /** The unit that is counted. */
  readonly unit: string
  readonly base?: S | undefined
  /** The backend without a proxy: what is added to its times is told too. */
  readonly direct?: S | undefined
}

export function turnTable<S extends Subject>(rounds: Rounds<S>, { unit, base, direct }: Beside<S>): string {
  const added = direct ? ['added p50', 'added p99'] : []
  const head = ['by way of', `CPU µs/${unit}`, 'min–max', 'of stock', `${unit}s/s`, 'mean ms', 'p50 ms', 'p99 ms']
  const rows = rounds.subjects.map((subject) => {
    const of = (what: keyof Turn): number[] => rounds.of(subject).map((turn) => turn[what])
    const addedOf = (what: keyof Turn): string =>
      median(
        differences(
          of(what),
          rounds.values(direct, (turn) => turn[what])!,
        ),
      ).toFixed(2)
    const cpu = of('cpuMicroseconds')
    return [
      subject.name,
      median(cpu).toFixed(1),
      `${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)}`,
      base
        ? median(
            ratios(
              cpu,
              rounds.values(base, (turn) => turn.cpuMicroseconds)!,
            ),
          ).toFixed(2)
        : '',
      median(of('perSecond')).toFixed(0),
      median(of('meanMs')).toFixed(2),
      median(of('p50Ms')).toFixed(2),
      median(of('p99Ms')).toFixed(2),
      ...(direct ? [addedOf('p50Ms'), addedOf('p99Ms')] : []),
      String(of('errors').reduce((sum, errors) => sum + errors, 0)),
    ]
  })
  return table([...head, ...added, 'errors'], rows)
}

/** The machine as it is now. */
export function machine(): string {
  return `own load generator; ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`
}
