/** Asks the gateway again and again, and says so when it does not answer. */

import type { Health, Stats } from './answers.ts'
import { followWidth } from './cards.ts'
import { byId, clock, setText } from './format.ts'
import { listenToControls, showHeads, showNodes } from './nodes.ts'
import { showFaultHeads, showRecent } from './recent.ts'
import { showReplicaHeads, showReplicas } from './replicas.ts'
import { showBanner, showHealth, showSummary } from './summary.ts'
import { showWork, showWorkHeads } from './work.ts'

const PERIOD_MS = 2000
const TIMEOUT_MS = 5000
const STORED = 'infernet-gateway ops key'
/** Where the gateway is, also behind a proxy that gives it a path of its own. */
const HOME = location.origin + location.pathname.replace(/dashboard\/*$/, '')
/** A browser sends what it logged in with to the paths beside the page, so the page must not lie a level deeper (RFC 7617, 2.2). */
const IS_TOO_DEEP = /dashboard\/+$/.test(location.pathname)

let key = readKey()
let isRefused = false
let heardAt: number | undefined
let timer: ReturnType<typeof setTimeout> | undefined
let isAsking = false

/** Kept for this tab alone; a browser that allows no storage forgets it with the page. */
function readKey(): string {
  try {
    return sessionStorage.getItem(STORED) ?? ''
  } catch {
    return ''
  }
}

function keepKey(given: string): void {
  key = given
  try {
    if (key) sessionStorage.setItem(STORED, key)
    else sessionStorage.removeItem(STORED)
  } catch {
    // It serves as long as the page is open.
  }
}

async function ask<T>(path: string): Promise<{ status: number; body: T }> {
  // Without a key of ours the browser sends the one that it opened the page with.
  const headers = { Accept: 'application/json', ...(key && { Authorization: 'Bearer ' + key }) }
  const options: RequestInit = { headers, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) }
  const answer = await fetch(HOME + path, options).catch(() => {
    throw new Error('No connection to the gateway')
  })
  const body = (await answer.json().catch(() => {
    throw new Error('The gateway does not answer as it should')
  })) as T
  return { status: answer.status, body }
}

async function poll(): Promise<void> {
  clearTimeout(timer)
  isAsking = true
  const used = key
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
  showWork(stats.models, stats.containers)
  showReplicas(stats.replicas)
  showNodes(stats.services)
}

/** A key that is not, or no longer, valid is dropped; then the browser's own gets its chance. Returns ms until the next try. */
function refused(used: string): number {
  if (used !== key) return 0
  if (key) {
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
listenToControls()
followWidth()
void poll()
