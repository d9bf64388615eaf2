/** What nodes say of themselves at `GET /info`. */
import { infoSteps, type NodeInfo } from '../../../src/fleet/info.ts'
import { atOnce } from '../steps.ts'

type Container = NodeInfo['containers'][number]

/** One container of an `/info`: `echo`, which is external, where nothing else is given. */
export function containerOf(over: Partial<Container> = {}): Container {
  return { id: 'echo', description: '', external: true, image: 'example/echo:1', ...over }
}

/** The `/info` of an idle node that runs `echo` and has no chain. */
export function infoOf(over: Partial<NodeInfo> = {}): NodeInfo {
  return {
    version: '1.4.0',
    containers: [containerOf()],
    pending: { offchain: 0, onchain: 0 },
    chain: { enabled: false, address: '' },
    ...over,
  }
}

/** The same as a body, whose members may be nonsense. */
export function infoText(members: object = {}): string {
  return JSON.stringify({ ...infoOf(), ...members })
}

/** What the gateway reads of a node's `/info` with this body. Infinity is written as a number that is too large. */
export function readInfo(body: unknown): NodeInfo {
  const text = JSON.stringify(body, (_name, value: unknown) => (value === Infinity ? '∞' : value))
  return atOnce(infoSteps(Buffer.from(text.replaceAll('"∞"', '1e999'))))
}
