import { LINES, type Line, type LineName } from './goals.ts'
import { median, table } from './report.ts'
import { differences, ratios } from './rounds.ts'

const HEAD = ['', 'gateway', 'stock', 'compared', 'by round', 'goal', '']

/** What the whole run has found, line by line. */
export class Findings {
  readonly #rows = new Map<LineName, string[]>()

  /** One figure of each round, of the gateway and of what is beside it in the same round. NaN: it could not be measured. */
  note(name: LineName, gateway: readonly number[] | undefined, beside?: readonly number[]): void {
    if (gateway) this.#rows.set(name, rowOf(LINES[name], gateway, beside))
  }

  /** Every line that was measured, with its goal. */
  summary(): string {
    const names = Object.keys(LINES) as LineName[]
    const rows = names.map((name) => this.#rows.get(name)).filter((row) => row !== undefined)
    return table(HEAD, rows)
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0
  }
}

function rowOf(line: Line, gateway: readonly number[], beside: readonly number[] | undefined): string[] {
  const compared = comparedByRound(line, gateway, beside)
  return [
    line.title,
    figure(median(gateway), line),
    beside ? figure(median(beside), line) + (line.beside ? ` (${line.beside})` : '') : '',
    line.kind === 'value' ? '' : compares(line, median(compared)),
    spread(line, compared),
    line.most === undefined ? '' : `≤ ${compares(line, line.most)}`,
    verdictOf(line, median(compared)),
  ]
}

/** Smallest and largest: how sure the median is. */
function spread(line: Line, compared: readonly number[]): string {
  if (compared.length < 2 || compared.some(Number.isNaN)) return ''
  return `${compares(line, Math.min(...compared))} to ${compares(line, Math.max(...compared))}`
}

/** What the goal is about, of each round. */
function comparedByRound(
  { kind }: Line,
  gateway: readonly number[],
  beside: readonly number[] = [],
): readonly number[] {
  if (kind === 'value') return gateway
  if (beside.length === 0) return []
  return kind === 'ratio' ? ratios(gateway, beside) : differences(gateway, beside)
}

function figure(value: number, { digits, unit }: Line): string {
  return Number.isNaN(value) ? '-' : `${value.toFixed(digits)} ${unit}`
}

/** A figure as it is compared: a ratio has no unit, a difference has a sign. */
function compares(line: Line, value: number): string {
  if (Number.isNaN(value)) return '-'
  if (line.kind === 'ratio') return value.toFixed(2)
  if (line.kind === 'value') return figure(value, line)
  return value < 0 ? `−${figure(-value, line)}` : `+${figure(value, line)}`
}

function verdictOf(line: Line, reached: number): string {
  if (line.most === undefined || Number.isNaN(reached)) return ''
  if (reached <= line.most) return 'met'
  const missedBy = reached - line.most
  return `missed by ${line.kind === 'ratio' ? missedBy.toFixed(2) : figure(missedBy, line)}`
}
