/** The tables of models and containers. */

import type { ContainerRow, ModelRow } from './answers.ts'
import { byId, count, plural, roughCount, setText, shareOrDash, timeOrDash } from './format.ts'
import { part, showColumnHeads, showRows, type Part, type TableColumn } from './parts.ts'

/** Rows that are shown before one asks for all. */
const FIRST_ROWS = 8

type Row = ModelRow | ContainerRow

const alarming = (value: number): Part => part(count(value), value > 0 ? 'bad' : '')

function nameColumn(label: string): TableColumn<Row> {
  return { label, show: ({ name }) => [name === null ? part('all others', 'kind') : part(name, 'name')] }
}

const WORK_COLUMNS: readonly TableColumn<Row>[] = [
  { label: 'Requests', show: ({ requests }) => [part(count(requests))], isNumber: true },
  { label: 'First byte, median', show: (row) => [part(timeOrDash(row.first_byte_p50))], isNumber: true },
  { label: 'First byte, p95', show: (row) => [part(timeOrDash(row.first_byte_p95))], isNumber: true },
]
const ERROR_COLUMNS: readonly TableColumn<Row>[] = [
  { label: 'Errors', show: ({ failed }) => [alarming(failed)], isNumber: true },
  { label: 'Refused (4xx)', show: ({ refused }) => [part(count(refused))], isNumber: true },
]
const MODEL_COLUMNS: readonly TableColumn<ModelRow>[] = [
  nameColumn('Model'),
  ...WORK_COLUMNS,
  { label: 'First token, median', show: (row) => [part(timeOrDash(row.first_token_p50))], isNumber: true },
  { label: 'Prompt tokens', show: (row) => [part(roughCount(row.prompt_tokens))], isNumber: true },
  { label: 'Of them cached', show: (row) => [part(shareOrDash(row.cache_hit_rate))], isNumber: true },
  { label: 'Sent to a warm cache', show: (row) => [part(shareOrDash(row.warm_share))], isNumber: true },
  { label: 'Answer tokens', show: (row) => [part(roughCount(row.completion_tokens))], isNumber: true },
  ...ERROR_COLUMNS,
]
const CONTAINER_COLUMNS: readonly TableColumn<ContainerRow>[] = [
  nameColumn('Container'),
  ...WORK_COLUMNS,
  { label: 'Jobs done', show: (row) => [part(count(row.jobs_succeeded))], isNumber: true },
  { label: 'Failed jobs', show: (row) => [alarming(row.jobs_failed)], isNumber: true },
  { label: 'Run again', show: (row) => [part(count(row.jobs_rerun))], isNumber: true },
  ...ERROR_COLUMNS,
]

interface WorkTable {
  readonly section: HTMLElement
  readonly body: HTMLElement
  readonly more: HTMLButtonElement
  showsAll: boolean
}

const workTable = (section: string, body: string, more: string): WorkTable => {
  return { section: byId(section), body: byId(body), more: byId<HTMLButtonElement>(more), showsAll: false }
}
const modelTable = workTable('models-section', 'models', 'more-models')
const containerTable = workTable('containers-section', 'containers', 'more-containers')

let latest: { readonly models: readonly ModelRow[]; readonly containers: readonly ContainerRow[] } | undefined

export function showWork(models: readonly ModelRow[], containers: readonly ContainerRow[]): void {
  latest = { models, containers }
  fill(modelTable, MODEL_COLUMNS, models)
  fill(containerTable, CONTAINER_COLUMNS, containers)
}

function fill<R>(table: WorkTable, columns: readonly TableColumn<R>[], rows: readonly R[]): void {
  const { section, body, more, showsAll } = table
  section.hidden = rows.length === 0
  showRows(body, columns, showsAll ? rows : rows.slice(0, FIRST_ROWS))
  more.hidden = rows.length <= FIRST_ROWS
  setText(more, showsAll ? 'Show the busiest alone' : 'Show all ' + plural(rows.length, 'row', 'rows'))
  more.setAttribute('aria-expanded', String(showsAll))
}

export function showWorkHeads(): void {
  showColumnHeads(byId('model-heads'), MODEL_COLUMNS)
  showColumnHeads(byId('container-heads'), CONTAINER_COLUMNS)
  for (const table of [modelTable, containerTable]) {
    table.more.addEventListener('click', () => {
      table.showsAll = !table.showsAll
      if (latest) showWork(latest.models, latest.containers)
    })
  }
}
