import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jittered } from '../../src/fleet/jitter.ts'
import { Semaphore } from '../../src/base/semaphore.ts'

/** Lets everything run that is ready to. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a semaphore', () => {
  test('lets so many run at once, the others in order as places come free', async () => {
    const limit = new Semaphore(2)
    const started: number[] = []
    const ends: (() => void)[] = []
    const tasks = [0, 1, 2, 3, 4].map((n) =>
      limit.run(() => {
        started.push(n)
        return new Promise<void>((resolve) => ends.push(resolve))
      }),
    )
    await settled()
    assert.deepEqual(started, [0, 1])
    ends[1]!()
    await settled()
    assert.deepEqual(started, [0, 1, 2])
    ends[0]!()
    ends[2]!()
    await settled()
    assert.deepEqual(started, [0, 1, 2, 3, 4])
    ends[3]!()
    ends[4]!()
    await Promise.all(tasks)
  })

  test('lets the next one start when a task lasts too long, and gives its place back only once', async () => {
    const limit = new Semaphore(1, 0.05)
    const { promise: end, resolve: letEnd } = Promise.withResolvers<void>()
    const slow = limit.run(() => end)
    assert.equal(await limit.run(async () => 7), 7)
    letEnd()
    await slow
    let running = 0
    const task = async (): Promise<number> => {
      const atOnce = ++running
      await settled()
      running--
      return atOnce
    }
    assert.deepEqual(await Promise.all([limit.run(task), limit.run(task), limit.run(task)]), [1, 1, 1])
  })

  test('gives the place back when a task fails, and the failure to who asked', async () => {
    const limit = new Semaphore(1)
    await assert.rejects(
      limit.run(() => Promise.reject(new Error('no'))),
      /no/,
    )
    assert.equal(await limit.run(async () => 7), 7)
  })

  test('lets as many run after a rush as before it', async () => {
    const limit = new Semaphore(2)
    await Promise.all(Array.from({ length: 20 }, () => limit.run(settled)))
    let running = 0
    let most = 0
    const task = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await settled()
      running--
    }
    await Promise.all(Array.from({ length: 20 }, () => limit.run(task)))
    assert.equal(most, 2)
  })
})

test('jitter is ten per cent either way', () => {
  assert.equal(
    jittered(10, () => 0),
    9,
  )
  assert.equal(
    jittered(10, () => 0.5),
    10,
  )
  assert.ok(jittered(10, () => 1 - Number.EPSILON) <= 11)
  const drawn = new Set(Array.from({ length: 20 }, () => jittered(10)))
  assert.ok(drawn.size > 10, 'it is drawn anew each time')
})
