import { TWO_KINDS, type Mix } from './arrivals.ts'
import type { ContenderName } from './contenders.ts'

export interface Scenario {
  readonly nodes: number
  /** The gateway is told each node's concurrency; otherwise it takes 3 for granted. */
  readonly tellsConcurrency: boolean
  readonly alike?: boolean
  /** Arriving work over what the fleet can do. */
  readonly utilisation: number
  /** Share of two-step clients. */
  readonly lookupShare: number
  readonly outsideShare?: number
  /** Kinds of work; one where nothing is said. */
  readonly mix?: Mix
  /** Each node takes twice or half as long as usual for each kind, at random. */
  readonly differByKind?: boolean
  readonly streamShare?: number
  readonly gateways?: number
  /** The gateways share a Redis; otherwise nothing. */
  readonly sharesRedis?: boolean
  /** The first node breaks all it gets from when measuring begins, and says that it is idle. */
  readonly blackHole?: boolean
  /** So many nodes join when measuring begins. */
  readonly joiningNodes?: number
  /** The first node turns ten times slower when measuring begins. */
  readonly slowingNode?: boolean
}

export interface Timing {
  readonly warmUpSeconds: number
  readonly measuredSeconds: number
  /** How long jobs may still take after the last one has come. */
  readonly drainSeconds: number
}

/** One line of the report: a load, who stands it with us, and what is to be shown of it. */
export interface Trial {
  readonly id: string
  readonly title: string
  readonly scenario: Scenario
  /** Run for every seed. */
  readonly main: readonly ContenderName[]
  /** Run once. */
  readonly once: readonly ContenderName[]
}

const ALL_OTHERS = ['two-random', 'round-robin', 'haproxy leastconn', 'nginx least_conn'] as const

export function trials(nodes: number, tellsConcurrency: boolean): Trial[] {
  const common = { nodes, tellsConcurrency }
  const unlike = { ...common, utilisation: 0.85 }
  return [
    {
      ...{ id: 'R1', title: 'unlike nodes, 85 % busy, one-step clients' },
      scenario: { ...unlike, lookupShare: 0 },
      main: ['score', 'least-in-flight', 'least-pending'],
      once: ['oracle', ...ALL_OTHERS],
    },
    {
      ...{ id: 'R2', title: 'unlike nodes, 85 % busy, two-step clients' },
      scenario: { ...unlike, lookupShare: 1 },
      main: ['score', 'least-pending'],
      once: ['oracle', 'two-random'],
    },
    {
      ...{ id: 'R3', title: 'like nodes, 85 % busy, one-step clients' },
      scenario: { ...common, alike: true, utilisation: 0.85, lookupShare: 0 },
      main: ['score', 'least-in-flight'],
      once: ['least-pending'],
    },
    ...[0, 0.5, 1].map((lookupShare) => ({
      ...{ id: `R5 φ${lookupShare}`, title: `a black hole opens, 70 % busy, ${lookupShare * 100} % two-step clients` },
      scenario: { ...common, utilisation: 0.7, lookupShare, streamShare: 0, blackHole: true },
      main: ['score' as const],
      once: [],
    })),
    {
      ...{ id: 'R6a', title: 'four gateways that share nothing, 85 % busy, one-step clients' },
      scenario: { ...unlike, lookupShare: 0, gateways: 4 },
      main: ['score'],
      once: [],
    },
    {
      ...{ id: 'R6c', title: 'four gateways that share a Redis, 85 % busy, one-step clients' },
      scenario: { ...unlike, lookupShare: 0, gateways: 4, sharesRedis: true },
      main: ['score'],
      once: [],
    },
    {
      ...{ id: 'R6b', title: 'five nodes join, 85 % busy before, one-step clients' },
      scenario: { ...unlike, lookupShare: 0, joiningNodes: 5 },
      main: ['score'],
      once: [],
    },
    {
      ...{ id: 'R7a', title: 'two kinds of work 1 : 10, nodes differ by kind, 85 % busy, one-step clients' },
      scenario: { ...unlike, lookupShare: 0, mix: TWO_KINDS, differByKind: true },
      main: ['score', 'without kinds'],
      once: ['oracle'],
    },
    {
      ...{ id: 'R7b', title: 'two kinds of work 1 : 10, nodes alike at both, 85 % busy, one-step clients' },
      scenario: { ...unlike, lookupShare: 0, mix: TWO_KINDS },
      main: ['score', 'without kinds'],
      once: ['oracle'],
    },
    {
      ...{ id: 'M', title: 'half two-step clients, 30 % of the load from outside, 85 % busy' },
      scenario: { ...unlike, lookupShare: 0.5, outsideShare: 0.3 },
      main: ['score', 'least-in-flight'],
      once: ['least-pending'],
    },
    {
      ...{ id: 'S', title: 'a node turns ten times slower, 70 % busy, one-step clients' },
      scenario: { ...common, utilisation: 0.7, lookupShare: 0, slowingNode: true },
      main: ['score', 'least-in-flight'],
      once: ['least-pending'],
    },
  ]
}
