import type { Variable } from './schema.ts'
import { schema, variables } from './schema.ts'

function defaultText(variable: Variable): string {
  const row: { default: unknown; defaultText?: string } = schema[variable]
  return row.defaultText ?? String(row.default)
}

/** Pads every column, as Markdown formatters do, so that the pasted table is left as it is. */
function alignedRows(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  const [head = [], ...body] = rows
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

/** The settings as a Markdown table, for `config/README.md`: `npm start -- --settings`. */
export function settingsTable(): string {
  const rows = variables.map((variable) => {
    const shown = defaultText(variable)
    return [`\`${variable}\``, shown === '' ? 'empty' : `\`${shown}\``, schema[variable].doc]
  })
  return alignedRows([['variable', 'default', 'meaning'], ...rows])
}

/** The settings for `--help`: the variable and its default, and below it the meaning. */
export function settingsHelp(): string {
  const entry = (variable: Variable) => {
    const shown = defaultText(variable)
    return `  ${variable}${shown === '' ? '' : ` (${shown})`}\n      ${schema[variable].doc.replaceAll('`', '')}`
  }
  return variables.map(entry).join('\n')
}
