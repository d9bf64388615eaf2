/** The gateways that share the ledger; hidden where the gateway has one of its own. */

import type { Replicas } from './answers.ts'
import { byId, count, element, refresh } from './format.ts'

const REPLICA_STATES: Record<string, readonly [text: string, className: string]> = {
  alive: ['alive', 'state good'],
  leaving: ['leaving: it drains', 'state'],
  gone: ['gone: its jobs wait to be taken over', 'state bad'],
}

type Row = readonly [name: string, note: string, state: string, jobs: string]

export function showReplicas(replicas: Replicas | undefined): void {
  byId('replicas-section').hidden = replicas === undefined
  if (replicas === undefined) return
  const rows = replicas.list.map(({ replica, state, jobs }): Row => {
    return [replica, replica === replicas.self ? noteOnSelf(replicas) : '', state, count(jobs)]
  })
  refresh(byId('replicas'), rows, replicaRow)
}

function noteOnSelf({ sure }: Replicas): string {
  return sure ? 'this one' : 'this one; it cannot tell at the moment whether others count it as dead'
}

function replicaRow([name, note, state, jobs]: Row): HTMLElement {
  const [text, className] = REPLICA_STATES[state] ?? [state, 'state']
  const head = element('th', '', [element('span', 'name', name)])
  head.setAttribute('scope', 'row')
  if (note) head.append(element('span', 'kind', note))
  const cells = [
    head,
    labelled('State', element('td', '', [element('span', className, text)])),
    labelled('Unfinished jobs', element('td', 'number', [element('span', '', jobs)])),
  ]
  cells.forEach((cell, index) => cell.setAttribute('role', index === 0 ? 'rowheader' : 'cell'))
  const row = element('tr', '', cells)
  row.setAttribute('role', 'row')
  return row
}

function labelled(label: string, cell: HTMLElement): HTMLElement {
  cell.dataset.label = label
  return cell
}
