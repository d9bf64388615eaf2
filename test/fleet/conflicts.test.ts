import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { ConflictWatch, type ImageConflict } from '../../src/fleet/conflicts.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { ListedNodes, newFleet, setContainers, trackedNode } from '../kit/builders/fleets.ts'
import { containerOf, infoText } from '../kit/builders/infos.ts'
import { serve } from '../kit/serve.ts'
import { eventually } from '../kit/wait.ts'

const NODES = 30

describe('a container id with different images', () => {
  test('is told, but of very many only ten are told one by one, and all are counted', async () => {
    const listed = (name: string): TrackedNode => {
      const node = trackedNode(name)
      setContainers(
        node,
        Array.from({ length: 5000 }, (_, n) => containerOf({ id: `c${n}`, image: name })),
      )
      return node
    }
    const nodes = [listed('a:1'), listed('b:1')]
    const found: ImageConflict[] = []
    const more: number[] = []
    const watch = new ConflictWatch(() => nodes, {
      found: (conflict) => found.push(conflict),
      foundMore: (count) => more.push(count),
    })
    watch.changed()
    const { count, named } = await watch.current()
    watch.stop()
    assert.deepEqual([count, named.length, found.length, more], [5000, 100, 10, [4990]])
    assert.deepEqual(found[0], { container: 'c0', images: { 'a:1': ['a:1'], 'b:1': ['b:1'] } })
    watch.changed()
    await watch.current()
    watch.stop()
    assert.deepEqual([found.length, more], [10, [4990]], 'what is known already is not told again')
  })

  test('is told once for each set of images, however many nodes join', async (t) => {
    /** The image of the n-th node's container. */
    let imageOf = (n: number): string => `image:${n % 2}`
    let polls = 0
    const address = await serve(t, (incoming, response) => {
      polls++
      const image = imageOf(Number(/\d+/.exec(incoming.url ?? '')?.[0]))
      response.end(infoText({ containers: [containerOf({ id: 'c', image })] }))
    })
    const names = Array.from({ length: NODES }, (_, n) => `http://${address}/${n}`)
    const fleet = newFleet(t, [new ListedNodes(...names)], { refreshIntervalSeconds: 0.1 })
    const told: ImageConflict[] = []
    fleet.on('image:conflict', (conflict) => told.push(conflict))
    const first = once(fleet, 'image:conflict')
    await fleet.start()
    await first
    await eventually(() => fleet.healthy().length === NODES, { withinMs: 20_000 })
    const namesOf = ({ images }: ImageConflict): string[] => Object.values(images).flat()
    assert.equal(namesOf((await fleet.conflicts()).named[0]!).length, NODES, 'all nodes, whenever one asks')
    const pollsBefore = polls
    await eventually(() => polls > pollsBefore + 3 * NODES, { withinMs: 20_000 })
    const imagesTold = (): string[][] => told.map(({ images }) => Object.keys(images).sort())
    assert.deepEqual(imagesTold(), [['image:0', 'image:1']])

    const second = once(fleet, 'image:conflict')
    imageOf = (n) => `image:${n % 3}`
    await second
    assert.deepEqual(imagesTold().at(-1), ['image:0', 'image:1', 'image:2'])
    imageOf = () => 'image:0'
    await eventually(async () => (await fleet.conflicts()).count === 0, { withinMs: 20_000 })
  })
})
