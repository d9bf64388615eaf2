/** Delegated subscriptions as clients send them. */
import { pipelineHash } from '../../kit/fakeNode/submission.ts'

/** More than a double can hold: whoever reads and writes it again changes it. */
export const BIG = '98765432109876543210987654321098765432109876543210987654321098765432109876543'

/** The JSON text of a subscription that names these containers by their hash, or of the hash itself. */
export function subscriptionFor(
  containers: readonly string[] | string,
  { expiry = 4_000_000_000, note = '' }: { expiry?: number; note?: string } = {},
): string {
  const hash = typeof containers === 'string' ? containers : `0x${pipelineHash(containers)}`
  const subscription = {
    owner: '0x1111111111111111111111111111111111111111',
    active_at: 1,
    period: 0,
    frequency: 1,
    redundancy: 1,
    containers: hash,
    lazy: false,
    verifier: '0x0000000000000000000000000000000000000000',
    payment_amount: 0,
    payment_token: '0x0000000000000000000000000000000000000000',
    wallet: '0x0000000000000000000000000000000000000000',
  }
  const signature = `{"nonce":1,"expiry":${expiry},"v":27,"r":${BIG},"s":${BIG}}`
  return `{"subscription": ${JSON.stringify(subscription)}, "signature": ${signature}, "data": {"note":"${note}"}}`
}
