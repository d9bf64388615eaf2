/** Cells of tables, made of parts. */

import { count, element, refresh } from './format.ts'
import { drainButton, type DrainAction } from './drainButton.ts'
import { drawSparkline, newSparkline, type Chart } from './sparkline.ts'

const MOST_NAMES = 4

/** A piece of a cell: a text, a bar of this level (1 is full), names, a small chart, or a button. */
export type Part =
  | { readonly text: string; readonly className: string }
  | { readonly bar: number }
  | { readonly names: readonly string[] }
  | { readonly chart: Chart; readonly className: string }
  | { readonly action: DrainAction }

export const part = (text: string, className = ''): Part => ({ text, className })

/** A column of a table that is made anew when it changes. */
export interface TableColumn<Row> {
  readonly label: string
  readonly show: (row: Row) => readonly Part[]
  readonly isNumber?: true
}

/** The heads of columns that cannot be sorted by. */
export function showColumnHeads<Row>(target: HTMLElement, columns: readonly TableColumn<Row>[]): void {
  target.replaceChildren(...columns.map(({ label, isNumber }) => columnHead(isNumber === true, label)))
}

export function columnHead(isNumber: boolean, content: string | readonly (string | Node)[]): HTMLTableCellElement {
  const head = element('th', isNumber ? 'number' : '', content)
  head.scope = 'col'
  head.setAttribute('role', 'columnheader')
  return head
}

export function showRows<Row>(target: HTMLElement, columns: readonly TableColumn<Row>[], rows: readonly Row[]): void {
  const shown = rows.map((row) => columns.map(({ show }) => show(row)))
  refresh(target, shown, (cells) => filledRow(columns, cells))
}

/** The rows of a table that is made as a whole. */
export function newRows<Row>(columns: readonly TableColumn<Row>[], rows: readonly Row[]): HTMLTableRowElement[] {
  const cellsOf = (row: Row): (readonly Part[])[] => columns.map(({ show }) => show(row))
  return rows.map((row) => filledRow(columns, cellsOf(row)))
}

function filledRow<Row>(
  columns: readonly TableColumn<Row>[],
  cells: readonly (readonly Part[])[],
): HTMLTableRowElement {
  const row = tableRow(columns)
  cells.forEach((parts, index) => row.cells[index]!.append(...parts.map(spacedPart)))
  return row
}

/** A row without content; its first cell is its head. As cards the cells show their column's name. */
export function tableRow(
  columns: readonly { readonly label: string; readonly isNumber?: true; readonly className?: string }[],
): HTMLTableRowElement {
  const cells = columns.map(({ label, isNumber, className = '' }, index) => {
    const cell = element(index === 0 ? 'th' : 'td', (isNumber ? 'number ' : '') + className, [])
    cell.setAttribute('role', index === 0 ? 'rowheader' : 'cell')
    if (index === 0) cell.setAttribute('scope', 'row')
    cell.dataset.label = label
    return cell
  })
  const row = element('tr', '', cells)
  row.setAttribute('role', 'row')
  return row
}

/** With a space behind it: what looks like two words must not be read as one. */
export function spacedPart(shown: Part): DocumentFragment {
  const fragment = document.createDocumentFragment()
  fragment.append(partElement(shown), ' ')
  return fragment
}

function partElement(shown: Part): HTMLElement {
  if ('action' in shown) return drainButton(shown.action)
  if ('names' in shown) return nameList(shown.names)
  if ('chart' in shown) {
    const svg = newSparkline()
    drawSparkline(svg, shown.chart)
    return element('span', 'chart ' + shown.className, [svg])
  }
  if ('text' in shown) return element('span', shown.className, shown.text)
  const { bar } = shown
  const level = element('span', bar > 1 ? 'level over' : 'level', '')
  level.style.width = Math.min(100, Math.round(bar * 100)) + '%'
  const frame = element('span', 'bar', [level])
  frame.setAttribute('aria-hidden', 'true')
  return frame
}

function nameList(names: readonly string[]): HTMLElement {
  const chips = (some: readonly string[]): (string | Node)[] =>
    some.flatMap((name) => [element('span', 'chip', name), ' '])
  if (names.length <= MOST_NAMES) return element('span', 'chips', chips(names))
  const [first, rest] = [names.slice(0, MOST_NAMES - 1), names.slice(MOST_NAMES - 1)]
  const summary = element('summary', '', count(rest.length) + ' more')
  return element('span', 'chips', [...chips(first), element('details', '', [summary, ...chips(rest)])])
}
