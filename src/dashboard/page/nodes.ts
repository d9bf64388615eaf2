/** The table of nodes: what its columns show, mean and sort by. */

import type { NodeStats } from './answers.ts'
import { byId, clock, count, duration, element, refresh, significant } from './format.ts'

const MOST_NAMES = 4
const MOST_AVOIDED = 3
const FAILING = 0.1
const SUSPECT = 1

/** A piece of a cell: a text, a bar of this level (1 is full), or names. */
type Part =
  | { readonly text: string; readonly className: string }
  | { readonly bar: number }
  | { readonly names: readonly string[] }

type Show = (node: NodeStats) => readonly Part[]

interface Column {
  readonly label: string
  readonly about: string
  readonly sortBy: (node: NodeStats) => string | number
  readonly show: Show
  readonly isNumber?: true
}

/** The members of a node that are numbers. */
type Figure = { [K in keyof NodeStats]: NodeStats[K] extends number ? K : never }[keyof NodeStats] & string

const part = (text: string, className = ''): Part => ({ text, className })
const numeric =
  (value: Figure): Show =>
  (node) => [part(count(node[value]))]
const timed =
  (value: Figure): Show =>
  (node) => [part(duration(node[value]))]

const STATE: Column = {
  label: 'State',
  about:
    'Whether it gets work. A node whose requests keep failing is ejected for a while; one that answers a kind of work worse than its siblings gets none of that kind.',
  sortBy: (node) => (node.healthy ? 1 : 0),
  show: stateParts,
}

/** What each column shows of a node, as parts; sorting is by a text or a number. */
const COLUMNS: readonly Column[] = [
  {
    label: 'Node',
    about: 'Its address or name as listed, and its kind.',
    sortBy: (node) => node.name,
    show: (node) => [part(node.name, 'name'), part(node.kind === 'openai' ? 'OpenAI-compatible' : 'Infernet', 'kind')],
  },
  STATE,
  {
    label: 'Runs',
    about: 'Its containers or models.',
    sortBy: (node) => namesOf(node).join(),
    show: (node) => [{ names: namesOf(node) }],
  },
  {
    label: 'Load',
    about:
      'Jobs thought to be there, also of others, against how many it runs at once. Where the bar is full, further jobs wait.',
    sortBy: (node) => node.load / node.concurrency,
    show: (node) => [
      { bar: node.load / node.concurrency },
      part(significant(node.load) + ' of ' + count(node.concurrency), 'of'),
    ],
    isNumber: true,
  },
  {
    label: 'In flight',
    about: 'Requests that are open at it now.',
    sortBy: (node) => node.in_flight,
    show: numeric('in_flight'),
    isNumber: true,
  },
  {
    label: 'Pending',
    about: 'Unfinished jobs by its own count at the last poll, whoever sent them.',
    sortBy: (node) => node.pending,
    show: numeric('pending'),
    isNumber: true,
  },
  {
    label: 'Unfinished',
    about: "This gateway's requests and jobs there that have not ended.",
    sortBy: (node) => node.unfinished,
    show: numeric('unfinished'),
    isNumber: true,
  },
  {
    label: 'Service time',
    about: 'What a job takes there once it runs, as learnt.',
    sortBy: (node) => node.service_time,
    show: timed('service_time'),
    isNumber: true,
  },
  {
    label: 'Response time',
    about: 'To the first byte of an answer, moving mean.',
    sortBy: (node) => node.response_time,
    show: timed('response_time'),
    isNumber: true,
  },
  {
    label: 'Requests',
    about: 'Sent to it since the gateway started.',
    sortBy: (node) => node.request_count,
    show: numeric('request_count'),
    isNumber: true,
  },
  {
    label: 'Errors',
    about: 'Requests that failed there.',
    sortBy: (node) => node.error_count,
    show: (node) => [part(count(node.error_count), node.error_count > 0 ? 'bad' : '')],
    isNumber: true,
  },
  {
    label: 'Score',
    about: 'Expected cost of one more job. The lowest is chosen next.',
    sortBy: (node) => node.score,
    show: (node) => [part(significant(node.score))],
    isNumber: true,
  },
]

const namesOf = (node: NodeStats): readonly string[] => node.containers ?? node.models ?? []

function stateParts(node: NodeStats): Part[] {
  const parts = [node.healthy ? part('healthy', 'state good') : part('unhealthy', 'state bad')]
  if (node.ejected_until) parts.push(part('ejected until ' + clock(node.ejected_until), 'why'))
  for (const { kind, reason, until } of node.avoided.slice(0, MOST_AVOIDED)) {
    parts.push(part('avoided for ' + kind + ' until ' + clock(until) + ': ' + reason, 'why'))
  }
  if (node.avoided.length > MOST_AVOIDED) {
    parts.push(part('and for ' + count(node.avoided.length - MOST_AVOIDED) + ' more', 'why'))
  }
  if (node.reason && !node.healthy) parts.push(part(node.reason, 'why'))
  if (node.several_nodes) parts.push(part('several nodes answer in turn here', 'why'))
  if (node.failure_level >= FAILING) parts.push(part('failing lately: ' + significant(node.failure_level), 'why'))
  if (node.black_hole_suspicion >= SUSPECT) parts.push(part('gets jobs but shows no work', 'why'))
  return parts
}

/** The state first, so that what needs care is on top; rows of like state stay where they are. */
let order: { readonly column: Column; readonly direction: number } = { column: STATE, direction: 1 }
const inNumbers = new Intl.Collator(undefined, { numeric: true })

function compare(one: NodeStats, other: NodeStats): number {
  const [a, b] = [order.column.sortBy(one), order.column.sortBy(other)]
  const difference = typeof a === 'number' && typeof b === 'number' ? a - b : inNumbers.compare(String(a), String(b))
  return order.direction * difference || inNumbers.compare(one.name, other.name)
}

let shownNodes: readonly NodeStats[] = []
const rows = new Map<string, HTMLTableRowElement>()

export function showNodes(nodes: readonly NodeStats[]): void {
  shownNodes = nodes
  const seen = new Map<string, number>()
  const sorted = [...nodes].sort(compare).map((node) => {
    const name = node.kind + ' ' + node.name
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    return [name + ' ' + times, node] as const
  })
  const kept = new Set(sorted.map(([key]) => key))
  for (const [key, row] of rows) {
    if (kept.has(key)) continue
    row.remove()
    rows.delete(key)
  }
  sorted.forEach(([key, node], position) => place(rowOf(key), node, position))
  byId('empty').hidden = nodes.length > 0
  byId('scroll').hidden = nodes.length === 0
}

function place(row: HTMLTableRowElement, node: NodeStats, position: number): void {
  const body = byId('nodes')
  // A row that stays in its place is not touched: moving it would take away focus and selection.
  if (body.children[position] !== row) body.insertBefore(row, body.children[position] ?? null)
  row.classList.toggle('down', !node.healthy)
  COLUMNS.forEach((column, index) => refresh(row.cells[index]!, column.show(node), partElement))
}

function rowOf(key: string): HTMLTableRowElement {
  const known = rows.get(key)
  if (known) return known
  const cells = COLUMNS.map((column, index) => {
    const cell = element(index === 0 ? 'th' : 'td', column.isNumber ? 'number' : '', [])
    cell.setAttribute('role', index === 0 ? 'rowheader' : 'cell')
    if (index === 0) cell.setAttribute('scope', 'row')
    cell.dataset.label = column.label
    return cell
  })
  const row = element('tr', '', cells)
  row.setAttribute('role', 'row')
  rows.set(key, row)
  return row
}

function partElement(shown: Part): HTMLElement {
  if ('names' in shown) return nameList(shown.names)
  if ('text' in shown) return element('span', shown.className, shown.text)
  const { bar } = shown
  const level = element('span', bar > 1 ? 'level over' : 'level', '')
  level.style.width = Math.min(100, Math.round(bar * 100)) + '%'
  const frame = element('span', 'bar', [level])
  frame.setAttribute('aria-hidden', 'true')
  return frame
}

function nameList(names: readonly string[]): HTMLElement {
  const items = names.map((name) => element('span', 'chip', name))
  if (names.length <= MOST_NAMES) return element('span', 'chips', items)
  const rest = items.splice(MOST_NAMES - 1)
  const summary = element('summary', '', count(rest.length) + ' more')
  return element('span', 'chips', [...items, element('details', '', [summary, ...rest])])
}

export function showHeads(): void {
  const heads = COLUMNS.map((column) => {
    const button = element('button', '', column.label)
    button.type = 'button'
    button.addEventListener('click', () => sortBy(column))
    const head = element('th', column.isNumber ? 'number' : '', [button])
    head.scope = 'col'
    head.setAttribute('role', 'columnheader')
    return head
  })
  byId('heads').replaceChildren(...heads)
  markOrder()
  const meanings = COLUMNS.flatMap(({ label, about }) => [element('dt', '', label), element('dd', '', about)])
  byId('meanings').replaceChildren(...meanings)
}

function sortBy(column: Column): void {
  const first = column.isNumber ? -1 : 1
  order = { column, direction: order.column === column ? -order.direction : first }
  markOrder()
  showNodes(shownNodes)
}

function markOrder(): void {
  COLUMNS.forEach((column, index) => {
    const direction = order.direction > 0 ? 'ascending' : 'descending'
    byId<HTMLTableRowElement>('heads').cells[index]!.setAttribute(
      'aria-sort',
      column === order.column ? direction : 'none',
    )
  })
}
