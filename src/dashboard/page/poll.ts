/** Asks the gateway again and again, and says so when it does not answer. */

import type { Health, Stats } from './answers.ts'
import { ask, HOME, keepKey, keyInUse } from './ask.ts'
import { followWidth } from './cards.ts'
import { byId, clock, setText } from './format.ts'
import { listenToControls, showHeads, showNodes } from './nodes.ts'
import { listenToQueue, showQueue } from './queue.ts'
import { showFaultHeads, showRecent } from './recent.ts'
import { showReplicaHeads, showReplicas } from './replicas.ts'
import { showBanner, showHealth, showSummary } from './summary.ts'
import { showWork, showWorkHeads } from './work.ts'

const PERIOD_MS = 2000
/** A browser sends what it logged in with to the paths beside the page, so the page must not lie a level deeper (RFC 7617, 2.2). */
const IS_TOO_DEEP = /dashboard\/+$/.test(location.pathname)

let isRefused = false
let heardAt: number | undefined
let timer: ReturnType<typeof setTimeout> | undefined
let isAsking = false

async function poll(): Promise<void> {
  clearTimeout(timer)
  isAsking = true
  const used = keyInUse()
  let waitMs = PERIOD_MS
  try {
    const [health, stats] = await Promise.all([ask<Health>('health'), ask<Stats & { error?: string }>('stats')])
    if (stats.status === 401) waitMs = refused(used)
    else if (stats.status === 200) showStats(stats.body)
    else throw new Error('The gateway answers: ' + stats.body.error)
    showHealth(health.body, stats.status === 200 ? stats.body : undefined)
    heardAt = Date.now()
    document.body.classList.remove('stale')
  } catch (error) {
    showLoss(error)
  }
  isAsking = false
  timer = setTimeout(() => void poll(), waitMs)
}

function showStats(stats: Stats): void {
  byId('login').hidden = true
  byId('figures').hidden = false
  isRefused = false
  showRecent(stats.activity)
  showSummary(stats)
  showQueue(stats.queue)
  showWork(stats.models, stats.containers)
  showReplicas(stats.replicas)
  showNodes(stats.services)
}

/** A key that is not, or no longer, valid is dropped; then the browser's own gets its chance. Returns ms until the next try. */
function refused(used: string): number {
  if (used !== keyInUse()) return 0
  if (used) {
    keepKey('')
    isRefused = true
    return 0
  }
  if (IS_TOO_DEEP) location.replace(HOME + 'dashboard')
  byId('figures').hidden = true
  byId('login').hidden = false
  setText(byId('refusal'), isRefused ? 'This key is not accepted.' : '')
  return PERIOD_MS
}

function showLoss(error: unknown): void {
  const since = heardAt === undefined ? '' : ' since ' + clock(heardAt) + '; the figures are of that time'
  showBanner('lost', (error instanceof Error ? error.message : String(error)) + since + '. Trying again…')
  document.title = 'no connection – Infernet Gateway'
  document.body.classList.add('stale')
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault()
  const field = byId<HTMLInputElement>('key')
  keepKey(field.value.trim())
  field.value = ''
  if (!isAsking) void poll()
})

showHeads()
showFaultHeads()
showReplicaHeads()
showWorkHeads()
listenToQueue()
listenToControls()
followWidth()
void poll()
