/** The banner, the figures of this moment and the warnings. */

import type { BadLine, Health, ImageConflict, Queue, Stats } from './answers.ts'
import { byId, bytes, count, element, longDuration, plural, refresh, setGatewayTime, setText } from './format.ts'
import { isNearlyFull } from './queue.ts'
import { recentTrouble } from './recent.ts'

const banner = byId('banner')

export function showBanner(status: string, text: string, reasons: readonly string[] = []): void {
  banner.dataset.status = status
  setText(byId('verdict'), text)
  refresh(byId('reasons'), reasons, (reason) => element('li', '', reason))
}

/** What keeps it from being healthy, for people; the figures are only known where they may be read. */
function troublesOf({ degraded, reason, healthy_services: healthy = '' }: Health, stats: Stats | undefined): string[] {
  const [some = 0, all = 0] = healthy.split('/').map(Number)
  const troubles: string[] = []
  if (some < all) troubles.push(plural(all - some, 'backend is', 'backends are') + ' down or ejected')
  if (degraded && reason) troubles.push(reason)
  if (!stats) return troubles
  const { failed, answered, failedJobs } = recentTrouble(stats.activity)
  const lately = ' in the last 5 minutes'
  if (failed > 0) troubles.push(count(failed) + ' of ' + plural(answered, 'request', 'requests') + ' failed' + lately)
  if (failedJobs > 0) troubles.push(plural(failedJobs, 'job', 'jobs') + ' failed' + lately)
  return troubles
}

export function showHealth(health: Health, stats: Stats | undefined): void {
  const { status, reason, healthy_services: healthy = '', timestamp } = health
  if (timestamp !== undefined) setGatewayTime(timestamp)
  const [some = '0', all = '0'] = healthy.split('/')
  const backends = count(Number(some)) + ' of ' + plural(Number(all), 'backend', 'backends')
  const troubles = status === 'healthy' ? troublesOf(health, stats) : []
  const shown = troubles.length > 0 || (status === 'healthy' && health.degraded) ? 'degraded' : status
  const texts: Record<string, string> = {
    healthy: 'Healthy: ' + backends + (stats ? ', no errors in the last 5 minutes' : ''),
    degraded: 'Degraded: ' + backends + ' can serve',
    unhealthy: 'Unhealthy: ' + (reason ?? backends),
    draining: 'Draining: running requests go on, new work is turned away',
  }
  showBanner(shown, texts[shown] ?? shown, troubles)
  document.title = shown + ' ' + healthy + ' – Infernet Gateway'
}

/** A figure with its name, perhaps a note and a class. */
type Tile = readonly [name: string, value: string, note?: string, className?: string]

function tilesOf(stats: Stats): Tile[] {
  const { jobs, queue = null, healthy_services: healthy, total_services: all } = stats
  return [
    ['Healthy backends', count(healthy) + ' of ' + count(all), '', healthy < all ? 'warn' : ''],
    ['Running requests', count(stats.running_requests), 'those of this page included'],
    ...(queue ? [queueTile(queue)] : []),
    ['Unfinished jobs', count(jobs.unfinished), stats.replicas ? 'of this gateway' : ''],
    ['Recorded jobs', count(jobs.recorded), bytes(jobs.kept_bytes) + ' kept'],
    ['Ledger', jobs.recordable ? 'recording' : 'cannot record', jobs.reason ?? '', jobs.recordable ? '' : 'bad'],
  ]
}

function queueTile(queue: Queue): Tile {
  const { waiting, limit } = queue
  return ['Waiting requests', count(waiting), 'of at most ' + count(limit), isNearlyFull(queue) ? 'warn' : '']
}

export function showSummary(stats: Stats): void {
  const { image_conflicts: conflicts, bad_lines: lines = [], bad_lines_total: linesInAll = lines.length } = stats
  setText(byId('about'), 'version ' + stats.version + ', up for ' + longDuration(stats.uptime))
  refresh(byId('tiles'), tilesOf(stats), tile)
  byId('warnings').hidden = conflicts.length === 0 && lines.length === 0
  refresh(byId('conflicts'), conflicts, conflictItem)
  refresh(byId('bad-lines'), lines.length === 0 ? [] : [{ lines, linesInAll }], badLinesItem)
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

function badLinesItem({ lines, linesInAll }: { lines: readonly BadLine[]; linesInAll: number }): HTMLElement {
  const each = lines.map(({ setting, line, entry, reason }) => {
    const place = setting + (line === null ? '' : ', line ' + line) + (entry === null ? '' : ' (' + entry + ')')
    return element('li', '', place + ': ' + reason)
  })
  if (linesInAll > lines.length) each.push(element('li', '', 'and ' + count(linesInAll - lines.length) + ' more'))
  const text = plural(linesInAll, 'line was skipped because it', 'lines were skipped because they') + ' cannot be read:'
  return element('li', '', [text, element('ul', '', each)])
}
