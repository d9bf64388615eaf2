/** The banner, the tiles of figures and the warnings. */

import type { Health, ImageConflict, Stats } from './answers.ts'
import { byId, bytes, count, duration, element, longDuration, refresh, setText } from './format.ts'

const banner = byId('banner')

export function showBanner(status: string, text: string): void {
  banner.dataset.status = status
  setText(banner, text)
}

export function showHealth({ status, degraded, reason, healthy_services: healthy = '' }: Health): void {
  const [some, all] = healthy.split('/')
  const backends = some + ' of ' + all + ' backends'
  const texts: Record<string, string> = {
    healthy: 'Healthy: ' + backends,
    degraded: 'Degraded: ' + backends + (reason ? '; ' + reason : ''),
    unhealthy: 'Unhealthy: ' + (reason ?? backends),
    draining: 'Draining: running requests go on, new work is turned away',
  }
  const shown = degraded ? 'degraded' : status
  showBanner(shown, texts[shown] ?? shown)
  document.title = shown + ' ' + healthy + ' – Infernet Gateway'
}

/** A figure with its name, perhaps a note and a class. */
type Tile = readonly [name: string, value: string, note?: string, className?: string]

function tilesOf(stats: Stats): Tile[] {
  const { jobs, fleet } = stats
  return [
    ['Healthy backends', count(stats.healthy_services) + ' of ' + count(stats.total_services)],
    ['Running requests', count(stats.running_requests), 'those of this page included'],
    ['Unfinished jobs', count(jobs.unfinished), stats.replicas ? 'of this gateway' : ''],
    ['Recorded jobs', count(jobs.recorded), bytes(jobs.kept_bytes) + ' kept'],
    ['Ledger', jobs.recordable ? 'recording' : 'cannot record', jobs.reason ?? '', jobs.recordable ? '' : 'bad'],
    ['Service time', duration(fleet.service_time), 'mean of the fleet'],
    ['Latency', duration(fleet.mean_latency), 'mean of the fleet'],
  ]
}

export function showSummary(stats: Stats): void {
  setText(byId('about'), 'version ' + stats.version + ', up for ' + longDuration(stats.uptime))
  refresh(byId('tiles'), tilesOf(stats), tile)
  byId('warnings').hidden = stats.image_conflicts.length === 0
  refresh(byId('conflicts'), stats.image_conflicts, conflictItem)
}

function tile([name, value, note = '', className = '']: Tile): HTMLElement {
  const lines: HTMLElement[] = [element('dt', '', name), element('dd', '', value)]
  if (note) lines.push(element('dd', 'note', note))
  return element('div', className, lines)
}

function conflictItem({ container, images }: ImageConflict): HTMLElement {
  const each = Object.entries(images).map(([image, nodes]) => element('li', '', image + ' on ' + nodes.join(', ')))
  const text = 'The container “' + container + '” stands for different images, so results depend on the node:'
  return element('li', '', [text, element('ul', '', each)])
}
