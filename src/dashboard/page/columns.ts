/** What the table of nodes shows of each, in columns. */

import type { NodeStats } from './answers.ts'
import { age, clock, count, duration, oneDecimal, shareOrDash, significant } from './format.ts'
import { part, type Part } from './parts.ts'

const MOST_REASONS = 4
/** Names in a row of one line. */
const MOST_SHORT_NAMES = 2

type Show = (node: NodeStats) => readonly Part[]

export interface Column {
  readonly label: string
  readonly about: string
  readonly sortBy: (node: NodeStats) => string | number
  readonly show: Show
  /** In a compact row, where that is another. */
  readonly showShort?: Show
  readonly isNumber?: true
  /** `extra`: left out of compact rows. */
  readonly className?: string
}

/** The members of a node that are counts or times. */
type Figure = { [K in keyof NodeStats]: NodeStats[K] extends number ? K : never }[keyof NodeStats] & string

const numeric =
  (value: Figure): Show =>
  (node) => [part(count(node[value]))]

/** In the order in which they want attention. */
const STATES: Record<string, readonly [rank: number, text: string, className: string]> = {
  down: [0, 'down', 'state bad'],
  ejected: [1, 'ejected', 'state bad'],
  unready: [2, 'not ready', 'state warn'],
  avoided: [3, 'avoided', 'state warn'],
  draining: [4, 'draining', 'state warn'],
  drained: [5, 'drained', 'state'],
  unknown: [6, 'not polled yet', 'state'],
  healthy: [7, 'healthy', 'state good'],
}
/** Reasons for which a node gets less work than others, or none; others are only worth knowing. */
const AVOIDING = new Set(['ejected', 'on_trial', 'set_aside', 'resting', 'failing', 'slow', 'no_work_seen'])
/** What the state itself says. */
const IN_STATE = new Set(['not_polled', 'down', 'draining'])

const causesOf = (node: NodeStats): string[] => node.why_avoided.map(({ cause }) => cause)
const namesOf = (node: NodeStats): readonly string[] => node.containers ?? node.models ?? []

export function stateOf(node: NodeStats): string {
  const causes = causesOf(node)
  if (causes.includes('not_polled')) return 'unknown'
  if (causes.includes('down')) return 'down'
  const { drain } = node
  if (drain) return drain
  if (causes.includes('not_ready')) return 'unready'
  if (causes.includes('ejected')) return 'ejected'
  if (causes.some((cause) => AVOIDING.has(cause))) return 'avoided'
  return node.healthy ? 'healthy' : 'down'
}

/** Whether there is anything to say of a node besides that it is healthy. */
export function isRemarkable(node: NodeStats): boolean {
  return stateOf(node) !== 'healthy' || node.why_avoided.length > 0 || node.several_nodes
}

/** The text in which one looks for a node. */
export function searchText(node: NodeStats): string {
  return [node.name, kindOf(node), stateOf(node), ...namesOf(node)].join(' ').toLowerCase()
}

const kindOf = (node: NodeStats): string => (node.kind === 'openai' ? 'OpenAI-compatible' : 'Infernet')

function statePart(node: NodeStats): Part {
  const state = stateOf(node)
  const [, text, className] = STATES[state] ?? [0, state, 'state']
  return part(text, className)
}

function reasonsOf(node: NodeStats): string[] {
  const { down_since: since, why_avoided: reasons } = node
  const down = reasons.find(({ cause }) => cause === 'down')?.text
  const downFor = since === null ? '' : 'for ' + age(since) + ', since ' + clock(since)
  const others = reasons
    .filter(({ cause }) => !IN_STATE.has(cause))
    .map(({ text, until }) => (until === null ? text : text + ' (until ' + clock(until) + ')'))
  const turns = node.several_nodes ? ['several nodes answer in turn here'] : []
  return [[downFor, down].filter(Boolean).join(': '), ...others, ...turns].filter(Boolean)
}

const stateParts: Show = (node) => {
  const reasons = reasonsOf(node)
  const more = reasons.length - MOST_REASONS
  const shown = reasons.slice(0, MOST_REASONS).map((text) => part(text, 'why'))
  return [statePart(node), ...shown, ...(more > 0 ? [part('and ' + count(more) + ' more', 'why')] : [])]
}

const stateInShort: Show = (node) => {
  const [first, ...others] = reasonsOf(node)
  if (first === undefined) return [statePart(node)]
  return [statePart(node), part(first + (others.length > 0 ? '; +' + count(others.length) : ''), 'why')]
}

const namesInShort: Show = (node) => {
  const names = namesOf(node)
  const more = names.length - MOST_SHORT_NAMES
  return [part(names.slice(0, MOST_SHORT_NAMES).join(', ') + (more > 0 ? ' +' + count(more) : ''), 'runs')]
}

const CONCURRENCY_NOTES: Record<string, string> = { learnt: 'learnt', default: 'assumed, not learnt yet' }

const loadText = (node: NodeStats): string => oneDecimal(node.load) + ' of ' + count(node.concurrency)

const loadInShort: Show = (node) => [
  { bar: node.load / node.concurrency },
  part(loadText(node) + (node.concurrency_from === 'default' ? '?' : ''), 'of'),
]

const loadParts: Show = (node) => {
  const note = CONCURRENCY_NOTES[node.concurrency_from]
  return [
    { bar: node.load / node.concurrency },
    part(loadText(node), 'of'),
    ...(note === undefined ? [] : [part(note, 'of')]),
  ]
}

const serviceParts: Show = (node) => {
  const { service_time: seconds, service_time_from: origin } = node
  if (origin === 'default') return [part('–'), part('not learnt yet', 'of')]
  return [part(duration(seconds)), ...(origin === 'fleet' ? [part('mean of the fleet', 'of')] : [])]
}

const responseParts: Show = ({ response_time: seconds, first_token_p50: firstToken = null }) => [
  part(duration(seconds)),
  ...(firstToken === null ? [] : [part('first\u00a0token ' + duration(firstToken), 'of')]),
]

const cacheParts: Show = ({ cache_hit_rate: rate, warm_share: share = null }) => [
  part(shareOrDash(rate)),
  ...(share === null ? [] : [part(shareOrDash(share) + ' warm', 'of')]),
]

export const STATE: Column = {
  label: 'State',
  about:
    'Whether it gets work, since when it is down, and why it is avoided. A node whose requests keep failing is ejected for a while; one that answers a kind of work worse than its siblings is set aside for that kind; one that answered 429 rests.',
  sortBy: (node) => STATES[stateOf(node)]?.[0] ?? 0,
  show: stateParts,
  showShort: stateInShort,
}

/** Sorting is by a text or a number. */
export const COLUMNS: readonly Column[] = [
  {
    label: 'Node',
    about: 'Its address or name as listed, and its kind.',
    sortBy: (node) => node.name,
    show: (node) => [part(node.name, 'name'), part(kindOf(node), 'kind')],
    showShort: (node) => [part(node.name, 'name')],
  },
  STATE,
  {
    label: 'Runs',
    about: 'Its containers or models.',
    sortBy: (node) => namesOf(node).join(),
    show: (node) => [{ names: namesOf(node) }],
    showShort: namesInShort,
  },
  {
    label: 'Load',
    about:
      'Jobs thought to be there, also of others, against how many it runs at once. Where the bar is full, further jobs wait. How many it runs at once is given in its list, learnt, or assumed until it is learnt: then compact rows have a question mark.',
    sortBy: (node) => node.load / node.concurrency,
    show: loadParts,
    showShort: loadInShort,
    isNumber: true,
  },
  {
    label: 'In flight',
    about: 'Requests that are open at it now.',
    sortBy: (node) => node.in_flight,
    show: numeric('in_flight'),
    isNumber: true,
    className: 'extra',
  },
  {
    label: 'Pending',
    about: 'Unfinished jobs by its own count at the last poll, from all clients.',
    sortBy: (node) => node.pending,
    show: numeric('pending'),
    isNumber: true,
    className: 'extra',
  },
  {
    label: 'Unfinished',
    about: "This gateway's requests and jobs there that have not ended.",
    sortBy: (node) => node.unfinished,
    show: numeric('unfinished'),
    isNumber: true,
    className: 'extra',
  },
  {
    label: 'Service time',
    about:
      'What a job takes there once it runs: as learnt from its own jobs, else the mean of the fleet, which compact rows leave out.',
    sortBy: (node) => (node.service_time_from === 'default' ? -1 : node.service_time),
    show: serviceParts,
    showShort: (node) => [part(node.service_time_from === 'learnt' ? duration(node.service_time) : '–')],
    isNumber: true,
  },
  {
    label: 'Response time',
    about:
      'To the first byte of an answer, moving mean; of a service also to the first token of a streamed answer, median of the last 15 minutes.',
    sortBy: (node) => node.response_time,
    show: responseParts,
    isNumber: true,
    className: 'extra',
  },
  {
    label: 'Cached tokens',
    about:
      'How many of the prompt tokens were in its cache, of answers of the last 15 minutes that said so; and how many requests were sent there because part of their prompt was believed to be (warm).',
    sortBy: (node) => node.cache_hit_rate ?? node.warm_share ?? -1,
    show: cacheParts,
    isNumber: true,
    className: 'extra caches',
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
    about: 'Requests that failed there since the gateway started.',
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
    className: 'extra',
  },
  {
    label: 'Last asked',
    about: 'When its last poll began.',
    sortBy: (node) => node.last_asked ?? '',
    show: ({ last_asked: at }) => [part(at === null ? 'never' : age(at) + ' ago')],
    isNumber: true,
    className: 'extra asked',
  },
  {
    label: 'Drain',
    about: 'Whether it gets no new work because an operator wants to switch it off.',
    sortBy: ({ drain }) => drain ?? '',
    show: ({ name, drain = null }) => [part(drain ?? '–'), { action: { name, drain } }],
    className: 'drain',
  },
]
