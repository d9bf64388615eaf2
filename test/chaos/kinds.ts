/** What can go wrong, with whom, and how it ends by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SpawnedFakeNode } from '../kit/fakeNode/index.ts'
import type { World } from './world.ts'

/** Which of the processes it befalls. */
type Party = 'node' | 'gateway' | 'redis'

export interface Trouble {
  readonly name: string
  readonly party: Party
  /** How often it is drawn. */
  readonly weight: number
  /** Whether it may begin now; where it is left out, it may. */
  readonly mayBegin?: () => Promise<boolean>
  /** Whether Redis loses what it acknowledged a moment ago: no gateway may die in the same moments. */
  readonly losesHistory?: boolean
  /** Of its party, the one of this index; how long, about. */
  readonly befall: (index: number, seconds: number) => Promise<void>
}

export function troublesOf(world: World): Trouble[] {
  const alone = world.shared === undefined
  return [
    ...nodeTroubles(world),
    ...(alone ? gatewayTroubles(world) : [...replicaTroubles(world), ...redisTroubles(world)]),
  ]
}

function nodeTroubles({ nodes }: World): Trouble[] {
  const trouble = (
    name: string,
    weight: number,
    befall: (node: SpawnedFakeNode, seconds: number) => Promise<void>,
  ): Trouble => ({ name, party: 'node', weight, befall: (index, seconds) => befall(nodes[index]!, seconds) })
  return [
    trouble('node killed', 4, async (node, seconds) => {
      await node.kill()
      await sleep(seconds * 1000)
      await node.start()
    }),
    trouble('node stopped and started', 2, async (node, seconds) => {
      await node.stop()
      await sleep(seconds * 250)
      await node.start()
    }),
    trouble('node hung', 3, async (node, seconds) => {
      node.pause()
      await sleep(seconds * 2000)
      node.resume()
    }),
    trouble('node without memory', 2, (node) => node.forget()),
    trouble('connections cut', 2, (node) => node.cut()),
    trouble('node refusing', 2, async (node, seconds) => {
      await node.refuse()
      await sleep(seconds * 1000)
      await node.comeBack()
    }),
  ]
}

function gatewayTroubles({ gateways }: World): Trouble[] {
  return [
    {
      ...{ name: 'gateway killed', party: 'gateway', weight: 2 },
      befall: async (index, seconds) => {
        await gateways[index]!.kill()
        await sleep(seconds * 200)
        await gateways[index]!.restart()
      },
    },
    {
      ...{ name: 'gateway hung', party: 'gateway', weight: 1 },
      befall: async (index, seconds) => {
        gateways[index]!.signal('SIGSTOP')
        await sleep(seconds * 500)
        gateways[index]!.signal('SIGCONT')
      },
    },
  ]
}

/** Long enough, some of them, for the others to take a replica for dead. */
function replicaTroubles({ gateways, shared }: World): Trouble[] {
  const { lines } = shared!
  const mendLater = async (index: number, seconds: number): Promise<void> => {
    await sleep(1000 + seconds * 1500)
    lines[index]!.mend()
  }
  return [
    {
      ...{ name: 'replica killed', party: 'gateway', weight: 3 },
      befall: async (index, seconds) => {
        await gateways[index]!.kill()
        await sleep(seconds * 1500)
        await gateways[index]!.restart()
      },
    },
    {
      ...{ name: 'replica stopped for a while', party: 'gateway', weight: 3 },
      befall: async (index, seconds) => {
        gateways[index]!.signal('SIGSTOP')
        await sleep(1000 + seconds * 2000)
        gateways[index]!.signal('SIGCONT')
      },
    },
    {
      ...{ name: 'replica restarted in order', party: 'gateway', weight: 2 },
      befall: (index) => gateways[index]!.restart(),
    },
    {
      ...{ name: 'replica cut off from Redis', party: 'gateway', weight: 2 },
      befall: (index, seconds) => {
        lines[index]!.cut()
        return mendLater(index, seconds)
      },
    },
    {
      ...{ name: 'silence between replica and Redis', party: 'gateway', weight: 2 },
      befall: (index, seconds) => {
        lines[index]!.silence()
        return mendLater(index, seconds)
      },
    },
    {
      ...{ name: 'answers of Redis lost', party: 'gateway', weight: 1 },
      befall: (index, seconds) => {
        lines[index]!.silence('answers')
        return mendLater(index, seconds)
      },
    },
  ]
}

function redisTroubles({ shared }: World): Trouble[] {
  const { redis } = shared!
  return [
    {
      ...{ name: 'Redis killed', party: 'redis', weight: 1 },
      befall: async (_index, seconds) => {
        await redis.master.kill()
        await sleep(seconds * 500)
        await redis.master.restart()
      },
    },
    {
      ...{ name: 'Redis hung', party: 'redis', weight: 1 },
      befall: async (_index, seconds) => {
        redis.master.pause()
        await sleep(seconds * 1500)
        redis.master.resume()
      },
    },
    {
      ...{ name: 'Redis paused', party: 'redis', weight: 1 },
      befall: async (_index, seconds) => {
        const ms = Math.round(seconds * 1000)
        await redis.master.call('CLIENT', 'PAUSE', String(ms), 'ALL')
        await sleep(ms)
      },
    },
    {
      ...{ name: 'Redis failed over', party: 'redis', weight: 1 },
      losesHistory: true,
      mayBegin: () => redis.isCopied(),
      befall: (_index, seconds) => redis.failOver(Math.min(1, seconds / 4)),
    },
  ]
}
