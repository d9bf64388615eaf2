import { CONTENDERS, type ContenderName } from './contenders.ts'
import { goalText, isMet, type Figure } from './figures.ts'

/** The table of all figures, the columns being the contenders that have any. */
export function table(figures: readonly Figure[]): string {
  const names = CONTENDERS.filter((name) => figures.some(({ values }) => values[name] !== undefined))
  const rows = figures.map((figure) => [
    ...[figure.scenario, figure.what],
    ...names.map((name) => cell(figure, name)),
    figure.spread ? figure.spread.map((value) => value.toFixed(figure.digits ?? 2)).join(' to ') : '',
    ...(figure.goal ? [goalText(figure.goal), verdict(figure)] : ['', '']),
  ])
  const lines = [['scenario', 'figure', ...names, 'by seed', 'goal', ''], ...rows]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) => line.map((text, i) => (i < 2 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  '))
    .join('\n')
}

function cell({ values, digits = 2 }: Figure, name: ContenderName): string {
  const value = values[name]
  if (value === undefined) return ''
  return Number.isFinite(value) ? value.toFixed(digits) : Number.isNaN(value) ? 'none' : 'never'
}

/** Of the gateway, and of what else has the goal too. */
function verdict({ goal, goalOf = ['gateway'], values }: Figure): string {
  if (!goal) return ''
  const measured = goalOf.filter((name) => values[name] !== undefined)
  const missed = measured.filter((name) => !isMet(goal, values[name]!))
  if (measured.length === 0) return 'not measured'
  if (missed.length === 0) return 'met'
  return measured.length === 1 ? 'MISSED' : `MISSED: ${missed.join(', ')}`
}
