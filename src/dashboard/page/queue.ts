/** Who waits for a place at a backend, and behind whom; hidden where nothing waits. */

import type { Queue, QueueCaller, QueuePool } from './answers.ts'
import { byId, count, duration, element, percent, plural, refresh, setText, significant } from './format.ts'
import { newRows, part, showColumnHeads, type Part, type TableColumn } from './parts.ts'

/** What is shown before one asks for all. */
const FIRST_POOLS = 3
const FIRST_CALLERS = 5
/** The section stays for a while after the last wait, so that the page does not jump while a queue comes and goes, ms. */
const LINGER_MS = 20_000
/** From here on requests are soon refused: the level at which the alert `QueueFillsUp` fires. */
const NEARLY_FULL = 0.8

let showsAllCallers = false
let latestQueue: Queue | null | undefined
let waitedAt = -Infinity

/** A caller, its place among those that wait (0: it is next), and its part of the pool's recent work. */
type CallerRow = readonly [one: QueueCaller, turn: number, share: number | undefined]

const callerNote = ({ priority, weight }: QueueCaller): string =>
  [
    ...(priority === 'normal' ? [] : [priority + ' priority']),
    ...(weight === 1 ? [] : ['weight ' + significant(weight)]),
  ].join(', ')

const shareParts = (share: number | undefined): readonly Part[] =>
  share === undefined ? [part('–')] : [{ bar: share }, part(percent(share), 'of')]

const CALLER_COLUMNS: readonly TableColumn<CallerRow>[] = [
  { label: 'Caller', show: ([one]) => [part(one.caller, 'name'), part(callerNote(one), 'kind')] },
  {
    label: 'Turn',
    show: ([{ waiting }, turn]) => [part(waiting === 0 ? '–' : turn === 0 ? 'next' : count(turn + 1))],
    isNumber: true,
  },
  { label: 'Waiting', show: ([{ waiting }]) => [part(count(waiting))], isNumber: true },
  { label: 'Longest wait', show: ([one]) => [part(duration(one.longest_wait))], isNumber: true },
  { label: 'Running', show: ([{ running }]) => [part(count(running))], isNumber: true },
  { label: 'Share of recent work', show: ([, , share]) => shareParts(share), isNumber: true },
  { label: 'Gave up', show: ([one]) => [part(one.loss_ratio === 0 ? '–' : percent(one.loss_ratio))], isNumber: true },
]

/** Whether the queue is nearly full, and requests will soon be refused. */
export function isNearlyFull({ waiting, limit }: Queue): boolean {
  return waiting > NEARLY_FULL * limit
}

export function showQueue(queue: Queue | null | undefined): void {
  latestQueue = queue
  const { waiting = 0, pools = [] } = queue ?? {}
  if (waiting > 0) waitedAt = Date.now()
  byId('queue-section').hidden = Date.now() - waitedAt > LINGER_MS
  const waited = pools.filter((pool) => pool.waiting > 0)
  setText(byId('queue-note'), queueText(waiting, waited))
  const shown = showsAllCallers ? waited : waited.slice(0, FIRST_POOLS)
  const showsAll = showsAllCallers
  refresh(
    byId('queue-pools'),
    shown.map((pool) => ({ pool, showsAll })),
    ({ pool }) => poolElement(pool),
  )
  const more = byId<HTMLButtonElement>('more-callers')
  more.hidden = waited.length <= FIRST_POOLS && waited.every(({ callers }) => callers.length <= FIRST_CALLERS)
  setText(more, showsAllCallers ? 'Show the first alone' : 'Show all callers')
  more.setAttribute('aria-expanded', String(showsAllCallers))
}

function queueText(waiting: number, pools: readonly QueuePool[]): string {
  if (waiting === 0) return 'No request waits now.'
  const listed = pools.reduce((sum, pool) => sum + pool.waiting, 0)
  const longest = Math.max(0, ...pools.map((pool) => pool.longest_wait))
  return [
    plural(waiting, 'request waits', 'requests wait') + ' for a place at a backend',
    ...(pools.length > 1 ? ['for ' + count(pools.length) + ' different models or containers'] : []),
    ...(listed > 0 ? ['the longest for ' + duration(longest)] : []),
    ...(waiting > listed ? [count(waiting - listed) + ' for a backend that is away, or not listed here'] : []),
  ].join(', ')
}

function poolElement(pool: QueuePool): HTMLElement {
  const { name, waiting, callers } = pool
  const shown = showsAllCallers ? callers : callers.slice(0, FIRST_CALLERS)
  const rest = waiting - shown.reduce((sum, one) => sum + one.waiting, 0)
  const table = element('table', '', [
    element('caption', '', 'Callers that wait for ' + name + ', the next one first.'),
    headOf(),
    bodyOf(shown, callers),
  ])
  table.setAttribute('role', 'table')
  const title = element('h3', '', [element('span', 'name', name), ' '])
  const notes = element('p', 'note', [poolText(pool), ...(pool.idle_places > 0 ? ['; ', idleText(pool)] : [])])
  const others =
    rest > 0 ? [element('p', 'note', 'and ' + plural(rest, 'request', 'requests') + ' of other callers')] : []
  return element('div', 'pool', [title, notes, table, ...others])
}

function headOf(): HTMLElement {
  const row = element('tr', '', [])
  row.setAttribute('role', 'row')
  showColumnHeads(row, CALLER_COLUMNS)
  const head = element('thead', '', [row])
  head.setAttribute('role', 'rowgroup')
  return head
}

function bodyOf(shown: readonly QueueCaller[], all: readonly QueueCaller[]): HTMLElement {
  // One that waits in several priorities is listed in each, each time with all of its work.
  const workOf = new Map(all.map((one) => [one.caller, one.recent_work]))
  const work = [...workOf.values()].reduce((sum, one) => sum + one, 0)
  const rows = shown.map((one, turn): CallerRow => [one, turn, work > 0 ? one.recent_work / work : undefined])
  const body = element('tbody', '', newRows(CALLER_COLUMNS, rows))
  body.setAttribute('role', 'rowgroup')
  return body
}

function poolText({ waiting, longest_wait: longest, priorities, fairness }: QueuePool): string {
  const { high, low } = priorities
  const ofPriority = [...(high > 0 ? [count(high) + ' of high'] : []), ...(low > 0 ? [count(low) + ' of low'] : [])]
  return [
    count(waiting) + (waiting === 1 ? ' waits' : ' wait'),
    ...(ofPriority.length > 0 ? [ofPriority.join(' and ') + ' priority'] : []),
    'the longest for ' + duration(longest),
    ...(fairness === null ? [] : ['fairness ' + significant(fairness) + ' of 1']),
  ].join(', ')
}

function idleText({ idle_places: places }: QueuePool): HTMLElement {
  return element('span', 'warn', plural(places, 'place is', 'places are') + ' free meanwhile')
}

export function listenToQueue(): void {
  byId('more-callers').addEventListener('click', () => {
    showsAllCallers = !showsAllCallers
    showQueue(latestQueue)
  })
}
