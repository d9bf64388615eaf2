/** The cards of the last 15 minutes, and the faults in them. */

import type { Activity } from './answers.ts'
import { byId, count, duration, element, percent, plural, setText, significant } from './format.ts'
import { part, showColumnHeads, showRows, type TableColumn } from './parts.ts'
import { drawSparkline, newSparkline, type Chart } from './sparkline.ts'

/** Trouble of this many periods shows in the banner: 5 minutes. */
const RECENT = 30
/** What a second is reckoned over: these many periods, and what is over of the present one. */
const RATE_PERIODS = 6
/** A rate over less says nothing, seconds. */
const LEAST_SECONDS = 3
/** Success rates at or above this one use all of the chart's height. */
const LOWEST_RATE = 0.9

type Values = readonly (number | null)[]

const total = (values: Values): number => values.reduce<number>((sum, value) => sum + (value ?? 0), 0)
const highest = (values: Values): number => Math.max(0, ...values.map((value) => value ?? 0))
const newest = (values: Values): number | null => values.findLast((value) => value !== null) ?? null

/** What went wrong for clients in the last 5 minutes. */
export interface Trouble {
  /** Requests that failed through no fault of the client, and all that were answered. */
  readonly failed: number
  readonly answered: number
  readonly failedJobs: number
}

export function recentTrouble({ succeeded, failed, jobs_failed }: Activity): Trouble {
  const recently = (values: readonly number[]): number => total(values.slice(-RECENT))
  const failures = recently(failed)
  return { failed: failures, answered: recently(succeeded) + failures, failedJobs: recently(jobs_failed) }
}

interface Card {
  readonly name: string
  readonly value: string
  readonly note: string
  /** The highest or lowest value of the chart, in words. */
  readonly scale: string
  readonly chart: Chart
  readonly className?: string
}

function cardsOf(activity: Activity): Card[] {
  const { succeeded, refused, failed, left, jobs_succeeded, jobs_failed, jobs_rerun } = activity
  const all = succeeded.map((value, index) => value + refused[index]! + failed[index]! + left[index]!)
  const rate = requestRates(all, activity)
  const endedJobs = total(jobs_succeeded) + total(jobs_failed)
  const perSecond = (value: number): string => significant(value) + ' /s'
  return [
    {
      name: 'Requests a second',
      value: significant(rateNow(all, activity)),
      note: count(total(all)) + ' in all',
      ...lineCard('Requests a second', rate, perSecond),
    },
    successCard(activity),
    timeCard('Median time (p50)', activity.p50, activity.p50_of_all, activity),
    timeCard('95th percentile (p95)', activity.p95, activity.p95_of_all, activity),
    {
      name: 'Failed jobs',
      value: count(total(jobs_failed)),
      note: 'of ' + plural(endedJobs, 'job that ended', 'jobs that ended'),
      className: total(jobs_failed) > 0 ? 'bad' : '',
      ...barCard('Failed jobs', jobs_failed, activity),
    },
    {
      name: 'Jobs run again',
      value: count(total(jobs_rerun)),
      note: 'their node had lost them',
      className: total(jobs_rerun) > 0 ? 'warn' : '',
      ...barCard('Jobs run again', jobs_rerun, activity),
    },
  ]
}

function successCard(activity: Activity): Card {
  const { succeeded, failed, refused, left } = activity
  const rates = succeeded.map((value, index) => {
    const answered = value + failed[index]!
    return answered === 0 ? null : value / answered
  })
  const [failures, answered] = [total(failed), total(succeeded) + total(failed)]
  const lowest = Math.min(1, ...rates.filter((rate) => rate !== null))
  const notes = [
    failures === 0 ? 'none failed' : count(failures) + ' of ' + count(answered) + ' failed',
    ...(total(refused) > 0 ? [count(total(refused)) + ' refused (4xx)'] : []),
    ...(total(left) > 0 ? [plural(total(left), 'client left', 'clients left')] : []),
  ]
  const words = 'min ' + percent(lowest)
  return {
    name: 'Success rate',
    value: answered === 0 ? '–' : percent(1 - failures / answered),
    note: answered === 0 && notes.length === 1 ? 'no requests' : notes.join(', '),
    scale: answered === 0 ? '' : words,
    className: failures > 0 ? 'bad' : '',
    chart: {
      kind: 'line',
      values: known(rates, activity),
      bottom: Math.min(LOWEST_RATE, lowest),
      top: 1,
      label: 'Success rate in the last 15 minutes: ' + words,
    },
  }
}

function timeCard(name: string, values: Values, ofAll: number | null, activity: Activity): Card {
  const now = newest(values)
  return {
    name,
    value: ofAll === null ? '–' : duration(ofAll),
    note: now === null ? 'nothing served by a backend' : 'lately ' + duration(now),
    ...lineCard(name, known(values, activity), duration),
  }
}

function lineCard(name: string, values: Values, format: (value: number) => string): Pick<Card, 'scale' | 'chart'> {
  const words = 'max ' + format(highest(values))
  const label = name + ' in the last 15 minutes: ' + words
  return { scale: highest(values) > 0 ? words : '', chart: { kind: 'line', values, label } }
}

function barCard(name: string, values: readonly number[], activity: Activity): Pick<Card, 'scale' | 'chart'> {
  return { scale: barScale(values, activity), chart: { kind: 'bars', values, label: barLabel(name, values) } }
}

function barScale(values: readonly number[], { period_seconds }: Activity): string {
  return highest(values) > 0 ? 'max ' + count(highest(values)) + ' in ' + period_seconds + ' s' : ''
}

const barLabel = (name: string, values: readonly number[]): string =>
  name + ' in the last 15 minutes: ' + count(total(values))

/** Before the gateway counted there is nothing, which is not 0. */
function known(values: Values, { counted_seconds, newest_seconds, period_seconds }: Activity): Values {
  const periods = Math.ceil(Math.max(0, counted_seconds - newest_seconds) / period_seconds) + 1
  return values.map((value, index) => (index < values.length - periods ? null : value))
}

/** Of the present period once enough of it is over. */
function requestRates(counts: readonly number[], activity: Activity): Values {
  const { period_seconds, newest_seconds } = activity
  const last = counts.length - 1
  const rates = counts.map((value, index) => {
    if (index < last) return value / period_seconds
    return newest_seconds < LEAST_SECONDS ? null : value / newest_seconds
  })
  return known(rates, activity)
}

function rateNow(counts: readonly number[], { period_seconds, newest_seconds, counted_seconds }: Activity): number {
  const seconds = Math.min(counted_seconds, RATE_PERIODS * period_seconds + newest_seconds)
  return total(counts.slice(-RATE_PERIODS - 1)) / Math.max(LEAST_SECONDS, seconds)
}

interface CardElements {
  readonly frame: HTMLElement
  readonly value: HTMLElement
  readonly note: HTMLElement
  readonly scale: HTMLElement
  readonly svg: SVGSVGElement
}

const cards = new Map<string, CardElements>()

function cardElements(name: string): CardElements {
  const svg = newSparkline()
  const scale = element('dd', 'scale', '')
  const value = element('dd', '', '')
  const note = element('dd', 'note', '')
  const frame = element('div', '', [element('dt', '', name), value, scale, element('dd', 'chart', [svg]), note])
  const made = { frame, value, note, scale, svg }
  cards.set(name, made)
  byId('cards').append(frame)
  return made
}

const SOURCES: Record<string, string> = { client: 'client', gateway: 'gateway', upstream: 'backend' }

type FaultRow = readonly [code: string, fault: Activity['faults'][string]]

const FAULT_COLUMNS: readonly TableColumn<FaultRow>[] = [
  { label: 'Code', show: ([code, { meaning }]) => [part(code, 'name code'), part(meaning, 'kind')] },
  { label: 'Who has to act', show: ([, { source }]) => [part(SOURCES[source] ?? source)] },
  { label: 'Requests', show: ([, { counts }]) => [part(count(total(counts)))], isNumber: true },
  {
    label: 'Last 15 minutes',
    show: ([code, { counts, source }]) => [
      {
        chart: { kind: 'bars', values: counts, label: barLabel(code, counts) },
        className: source === 'client' ? '' : 'bad',
      },
    ],
  },
]

export function showRecent(activity: Activity): void {
  for (const { name, value, note, scale, chart, className = '' } of cardsOf(activity)) {
    const shown = cards.get(name) ?? cardElements(name)
    shown.frame.className = className
    setText(shown.value, value)
    setText(shown.note, note)
    setText(shown.scale, scale)
    drawSparkline(shown.svg, chart)
  }
  const faults = Object.entries(activity.faults).sort(([, a], [, b]) => total(b.counts) - total(a.counts))
  byId('faults-section').hidden = faults.length === 0
  showRows(byId('faults'), FAULT_COLUMNS, faults)
}

export function showFaultHeads(): void {
  showColumnHeads(byId('fault-heads'), FAULT_COLUMNS)
}
