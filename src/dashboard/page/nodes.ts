/** The table of nodes: which of them it shows, in what order, page by page. */

import type { NodeStats } from './answers.ts'
import { COLUMNS, isRemarkable, searchText, STATE, stateOf, type Column } from './columns.ts'
import { byId, count, element, refresh, setText } from './format.ts'
import { columnHead, spacedPart, tableRow } from './parts.ts'

/** From this number of nodes on, rows are compact unless somebody wishes otherwise. */
const MANY_NODES = 20
/** The least number of rows that a page may have. */
const FEWEST_PER_PAGE = 25

/** The state first, so that what needs care is on top; rows of like state stay where they are. */
let order: { readonly column: Column; readonly direction: number } = { column: STATE, direction: 1 }
const inNumbers = new Intl.Collator(undefined, { numeric: true })

function compare(one: NodeStats, other: NodeStats): number {
  const [a, b] = [order.column.sortBy(one), order.column.sortBy(other)]
  const difference = typeof a === 'number' && typeof b === 'number' ? a - b : inNumbers.compare(String(a), String(b))
  return order.direction * difference || inNumbers.compare(one.name, other.name)
}

const search = byId<HTMLInputElement>('search')
const which = byId<HTMLSelectElement>('which')
const perPage = byId<HTMLSelectElement>('per-page')
const compact = byId<HTMLInputElement>('compact')
const sortField = byId<HTMLSelectElement>('sort-by')
const pageButtons = [byId<HTMLButtonElement>('previous'), byId<HTMLButtonElement>('next')] as const

/** Whether rows are compact because somebody wished it, or not; undefined: by the number of nodes. */
let wishedCompact: boolean | undefined
let page = 0

const SELECTIONS: Record<string, (node: NodeStats) => boolean> = {
  all: () => true,
  remarkable: isRemarkable,
  down: (node) => ['down', 'ejected', 'unready', 'unknown'].includes(stateOf(node)),
  infernet: (node) => node.kind === 'infernet',
  openai: (node) => node.kind === 'openai',
}

/** Those that the filter lets through, sorted. */
function selected(nodes: readonly NodeStats[]): NodeStats[] {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
  const isMeant = SELECTIONS[which.value] ?? (() => true)
  return nodes.filter((node) => isMeant(node) && words.every((word) => searchText(node).includes(word))).sort(compare)
}

let shownNodes: readonly NodeStats[] = []
const rows = new Map<string, HTMLTableRowElement>()

export function showNodes(nodes: readonly NodeStats[]): void {
  shownNodes = nodes
  compact.checked = wishedCompact ?? nodes.length > MANY_NODES
  byId('scroll').classList.toggle('compact', compact.checked)
  byId('scroll').classList.toggle(
    'has-drain',
    nodes.some(({ drain }) => drain !== undefined),
  )
  byId('scroll').classList.toggle(
    'has-caches',
    nodes.some(({ kind }) => kind === 'openai'),
  )
  const all = selected(nodes)
  const size = Number(perPage.value)
  page = Math.max(0, Math.min(page, Math.ceil(all.length / size) - 1))
  placeRows(all.slice(page * size, (page + 1) * size))
  showPager(all.length, size)
  byId('controls').hidden = nodes.length < 2
  byId('empty').hidden = nodes.length > 0
  byId('none-fits').hidden = nodes.length === 0 || all.length > 0
  byId('scroll').hidden = all.length === 0
}

function showPager(found: number, size: number): void {
  const [previous, next] = pageButtons
  const from = page * size
  const to = Math.min(found, from + size)
  const ofAll = found === shownNodes.length ? '' : ' (of ' + count(shownNodes.length) + ' in all)'
  setText(byId('range'), found === 0 ? '' : count(from + 1) + '–' + count(to) + ' of ' + count(found) + ofAll)
  previous.disabled = page === 0
  next.disabled = to >= found
  byId('pager').hidden = shownNodes.length <= FEWEST_PER_PAGE
}

function placeRows(nodes: readonly NodeStats[]): void {
  const seen = new Map<string, number>()
  const keyed = nodes.map((node) => {
    const name = node.kind + ' ' + node.name
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    return [name + ' ' + times, node] as const
  })
  const kept = new Set(keyed.map(([key]) => key))
  for (const [key, row] of rows) {
    if (kept.has(key)) continue
    row.remove()
    rows.delete(key)
  }
  keyed.forEach(([key, node], position) => place(rowOf(key), node, position))
}

function place(row: HTMLTableRowElement, node: NodeStats, position: number): void {
  const body = byId('nodes')
  // A row that stays in its place is not touched: moving it would take away focus and selection.
  if (body.children[position] !== row) body.insertBefore(row, body.children[position] ?? null)
  row.classList.toggle('down', ['down', 'ejected'].includes(stateOf(node)))
  COLUMNS.forEach(({ show, showShort = show }, index) =>
    refresh(row.cells[index]!, (compact.checked ? showShort : show)(node), spacedPart),
  )
}

function rowOf(key: string): HTMLTableRowElement {
  const known = rows.get(key)
  if (known) return known
  const row = tableRow(COLUMNS)
  rows.set(key, row)
  return row
}

export function showHeads(): void {
  const heads = COLUMNS.map((column) => {
    const button = element('button', '', column.label)
    button.type = 'button'
    button.addEventListener('click', () => sortBy(column))
    const head = columnHead(column.isNumber === true, [button])
    if (column.className) head.classList.add(...column.className.split(' '))
    return head
  })
  byId('heads').replaceChildren(...heads)
  sortField.replaceChildren(...COLUMNS.map(({ label }) => element('option', '', label)))
  markOrder()
  const meanings = COLUMNS.flatMap(({ label, about }) => [element('dt', '', label), element('dd', '', about)])
  byId('meanings').replaceChildren(...meanings)
}

function sortBy(column: Column): void {
  const first = column.isNumber ? -1 : 1
  order = { column, direction: order.column === column ? -order.direction : first }
  markOrder()
  showFirstPage()
}

function markOrder(): void {
  const direction = order.direction > 0 ? 'ascending' : 'descending'
  const heads = byId<HTMLTableRowElement>('heads').cells
  COLUMNS.forEach((column, index) =>
    heads[index]!.setAttribute('aria-sort', column === order.column ? direction : 'none'),
  )
  sortField.value = order.column.label
  setText(byId('direction'), direction === 'ascending' ? 'Ascending' : 'Descending')
}

function showFirstPage(): void {
  page = 0
  showNodes(shownNodes)
}

export function listenToControls(): void {
  search.addEventListener('input', showFirstPage)
  for (const select of [which, perPage]) select.addEventListener('change', showFirstPage)
  compact.addEventListener('change', () => {
    wishedCompact = compact.checked
    showNodes(shownNodes)
  })
  sortField.addEventListener('change', () => {
    const column = COLUMNS.find(({ label }) => label === sortField.value)
    if (column) sortBy(column)
  })
  byId('direction').addEventListener('click', () => sortBy(order.column))
  pageButtons.forEach((button, index) =>
    button.addEventListener('click', () => {
      page += index === 0 ? -1 : 1
      showNodes(shownNodes)
    }),
  )
}
