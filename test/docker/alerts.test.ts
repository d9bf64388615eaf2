/** docker/alerts.yml and the dashboard of docker/grafana: what they ask of Prometheus. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { NodeDrains } from '../../src/admin/nodeDrains.ts'
import { BadLines } from '../../src/base/badLines.ts'
import { MemoryBudget } from '../../src/base/memory/budget.ts'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { Selector } from '../../src/dispatch/selector.ts'
import { LiveJobs } from '../../src/jobs/liveJobs.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { addBadLineGauge } from '../../src/observability/badLines.ts'
import { addDrainGauge } from '../../src/observability/drainGauge.ts'
import { Metrics } from '../../src/observability/metrics.ts'
import { newFleet } from '../kit/builders/fleets.ts'
import { StandingQueue } from '../kit/builders/queues.ts'
import type { Cleanup } from '../kit/wait.ts'
import { DOCKER, readYaml } from './files.ts'

const RULE_TESTS = fileURLToPath(new URL('alerts.rules.yml', import.meta.url))
/** Why some tests are skipped; `false` where they are not. */
const skip = isInstalled() ? false : 'promtool is not installed (Debian: apt-get install prometheus)'

function isInstalled(): boolean {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

interface RuleTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: readonly object[] }[]
  }[]
}

interface Board {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

async function alerts(): Promise<Rules['groups'][number]['rules']> {
  const [file] = await readYaml<Rules>('alerts.yml')
  return file!.groups.flatMap(({ rules }) => rules)
}

async function boardExpressions(): Promise<string[]> {
  const board = JSON.parse(await readFile(`${DOCKER}grafana/dashboards/gateway.json`, 'utf8')) as Board
  return board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
}

/** Names of all metrics that a gateway may tell of, and those of their series. */
function knownNames(t: Cleanup): Set<string> {
  const fleet = newFleet(t, [])
  const ledger = new MemoryLedger({ maxBytes: 1, ttlMs: 1 })
  const live = new LiveJobs(ledger, new Dispatcher(fleet, new Selector(fleet)))
  // One that several gateways share has metrics of its own, as has one that is a file.
  const shared = { coordination: { membership: { replicas: [], self: '', isSure: true } } }
  const settings = { stateUrl: 'sqlite:x.db', stateMaxBytes: 1 }
  const deps = { fleet, live, memory: new MemoryBudget(1), ledger: { ...ledger, shared } as unknown as Ledger }
  const { registry } = new Metrics({ ...deps, queue: new StandingQueue(), version: '1', settings })
  addBadLineGauge(registry, new BadLines())
  addDrainGauge(registry, { nodes: [] } as unknown as NodeDrains)
  const names = registry.getMetricsAsArray().map(({ name }) => name)
  return new Set(names.flatMap((name) => [name, ...['bucket', 'sum', 'count'].map((part) => `${name}_${part}`)]))
}

describe('alerts for Prometheus', () => {
  test('are rules that it accepts, with its configuration', { skip }, () => {
    execFileSync('promtool', ['check', 'config', `${DOCKER}prometheus.yml`], { stdio: 'pipe' })
  })

  test('fire under their fault, and only then', { skip }, () => {
    execFileSync('promtool', ['test', 'rules', RULE_TESTS], { stdio: 'pipe' })
  })

  test('are tested each, under its fault and without one', async () => {
    const { tests } = parse(await readFile(RULE_TESTS, 'utf8')) as RuleTests
    const all = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
    const names = (await alerts()).map(({ alert }) => alert).sort()
    const quiet = tests[0]!.alert_rule_test.map(({ alertname }) => alertname)
    const firing = all.filter(({ exp_alerts }) => exp_alerts !== undefined).map(({ alertname }) => alertname)
    assert.deepEqual([...new Set(quiet)].sort(), names)
    assert.deepEqual([...new Set(firing)].sort(), names)
  })
})

test('alerts and the dashboard ask only for metrics that a gateway tells of', async (t) => {
  const known = knownNames(t)
  const expressions = [...(await boardExpressions()), ...(await alerts()).map(({ expr }) => expr)]
  assert.ok(expressions.length > 40)
  const asked = new Set(expressions.flatMap((expr) => expr.match(/\b(?:infernet_gateway|process)_\w+/g) ?? []))
  assert.deepEqual(
    [...asked].filter((name) => !known.has(name)),
    [],
  )
})
