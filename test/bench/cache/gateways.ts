import type { SelectionPolicyName } from '../routing/policies.ts'

export interface GatewayContender {
  readonly policy: SelectionPolicyName
  readonly warmCaches?: 'noIndex' | 'off'
}

/** The gateway with and without parts of its way to choose. */
export const GATEWAYS = {
  gateway: { policy: 'score' },
  'without index': { policy: 'score', warmCaches: 'noIndex' },
  'old score': { policy: 'score', warmCaches: 'off' },
  'least in flight': { policy: 'least-in-flight', warmCaches: 'off' },
} as const satisfies Record<string, GatewayContender>

export type GatewayName = keyof typeof GATEWAYS
