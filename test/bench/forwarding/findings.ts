import { LINES, type Line, type LineName } from './goals.ts'
import { median, table } from './report.ts'
import { differences, ratios } from './rounds.ts'

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
    return table(['', 'gateway', 'stock', 'ratio or difference', 'goal', ''], rows)
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0
  }
}

function rowOf(line: Line, gateway: readonly number[], beside: readonly number[] | undefined): string[] {
  const compared = comparison(line, gateway, beside)
  const own = median(gateway)
  return [
    line.title,
    figure(own, line),
    beside ? figure(median(beside), line) + (line.beside ? ` (${line.beside})` : '') : '',
    compared,
    goalOf(line),
    verdictOf(line, line.kind === 'value' ? own : Number.parseFloat(compared.replace('−', '-'))),
  ]
}

function comparison(line: Line, gateway: readonly number[], beside: readonly number[] | undefined): string {
  if (!beside) return ''
  if (line.kind === 'ratio') return median(ratios(gateway, beside)).toFixed(2)
  return withSign(median(differences(gateway, beside)), line)
}

function figure(value: number, { digits, unit }: Line): string {
  return Number.isNaN(value) ? '-' : `${value.toFixed(digits)} ${unit}`
}

function withSign(value: number, line: Line): string {
  return value < 0 ? `−${figure(-value, line)}` : `+${figure(value, line)}`
}

function goalOf(line: Line): string {
  if (line.most === undefined) return ''
  if (line.kind === 'ratio') return `≤ ${line.most}`
  return line.kind === 'difference' ? `≤ +${line.most} ${line.unit}` : `≤ ${line.most} ${line.unit}`
}

function verdictOf(line: Line, reached: number): string {
  if (line.most === undefined || Number.isNaN(reached)) return ''
  if (reached <= line.most) return 'met'
  const missedBy = (reached - line.most).toFixed(Math.max(2, line.digits))
  return `missed by ${missedBy}${line.kind === 'ratio' ? '' : ` ${line.unit}`}`
}
