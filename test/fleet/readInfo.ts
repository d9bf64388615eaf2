import { infoSteps, type NodeInfo } from '../../src/fleet/info.ts'
import { atOnce } from '../kit/steps.ts'

/** What is read of a node's `/info` with this body. Infinity is written as a number that is too large. */
export function readInfo(body: unknown): NodeInfo {
  const text = JSON.stringify(body, (_name, value: unknown) => (value === Infinity ? '∞' : value))
  return atOnce(infoSteps(Buffer.from(text.replaceAll('"∞"', '1e999'))))
}
