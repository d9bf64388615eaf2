/** Whose turn it is where requests wait for a place. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startHeldService } from '../../kit/heldService.ts'
import {
  answerInTurn,
  ask,
  caller,
  countOf,
  holder,
  queueMs,
  questions,
  queueUp,
  SELDOM,
  startStage,
  waitingIs,
} from './support.ts'

const KEYS = [
  { name: 'double', key: 'key-of-double-weight', weight: 2 },
  { name: 'single', key: 'key-of-single-weight', weight: 1 },
  { name: 'high', key: 'key-of-high-priority', priority: 'high' },
  { name: 'low', key: 'key-of-low-priority', priority: 'low' },
  { name: 'normal', key: 'key-of-normal-priority' },
  { name: 'other', key: 'key-of-other-normal' },
]
const keyOf = (name: string): string => KEYS.find((entry) => entry.name === name)!.key

const file = { after }
const stage = await startStage(file, 10, {
  cwdFiles: { 'keys.json': KEYS },
  env: { KEYS_FILE: 'keys.json' },
  occupant: holder(keyOf('other')),
})

describe('a service with `concurrency: 1`', async () => {
  const service = await startHeldService(file)
  const gateway = await gatewayForServices(file, [entryOf(service, { concurrency: 1 })], SELDOM)

  test('gets five streams one at a time: each starts when the one before it has ended, in the order in which they came', async () => {
    const first = ask(gateway, { label: 's1', isStream: true })
    const one = await service.next()
    one.begin()
    const others = await queueUp(
      gateway,
      ['s2', 's3', 's4', 's5'].map((label) => ({ label, isStream: true })),
    )
    assert.deepEqual(service.taken, ['s1'])
    one.answer()
    for (const [n, label] of ['s2', 's3', 's4', 's5'].entries()) {
      const held = await service.next()
      assert.equal(held.label, label)
      await waitingIs(gateway, 3 - n)
      held.begin()
      held.answer()
    }
    for (const answer of [await first, ...(await others.answers())]) {
      assert.equal(answer.status, 200)
      assert.match(answer.text, /\[DONE\]/)
    }
    assert.equal(service.mostRunning, 1)
  })

  test('`X-Queue-Ms` tells how long a request waited, and that one that found a place did not', async () => {
    const startMs = performance.now()
    const atOnce = ask(gateway, { label: 'at once' })
    const held = await service.next()
    const waited = await queueUp(gateway, [{ label: 'waited' }])
    const queuedMs = performance.now()
    let leastMs = 0
    while (leastMs < 20) {
      await waitingIs(gateway, 1)
      leastMs = performance.now() - queuedMs
    }
    held.answer()
    await answerInTurn(service, 1)
    assert.equal(queueMs(await atOnce), 0)
    const ms = queueMs((await waited.answers())[0]!)
    assert.ok(ms >= Math.floor(leastMs), `${ms} ms are less than ${leastMs}`)
    assert.ok(ms <= Math.ceil(performance.now() - startMs), `${ms} ms are more than all the time there was`)
  })
})

describe('callers who wait for the same service', () => {
  test('a caller who comes later is not behind the twenty requests that another one has waiting', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('a', 20, { model, ...holder(keyOf('single')) }))
    await queueUp(gateway, questions('b', 1, { model, ...holder(keyOf('normal')) }))
    first.answer()
    const order = await answerInTurn(service, 3)
    assert.ok(order.includes('b1'), `served first: ${order.join(' ')}`)
  })

  test('two callers with the same weight get turns, and each keeps its own order', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('a', 6, { model, ...holder(keyOf('single')) }))
    await queueUp(gateway, questions('b', 6, { model, ...holder(keyOf('normal')) }))
    first.answer()
    const order = await answerInTurn(service, 12)
    for (const letter of ['a', 'b']) {
      const own = order.filter((label) => label.startsWith(letter))
      assert.deepEqual(
        own,
        questions(letter, 6).map(({ label }) => label),
      )
      const early = countOf(order.slice(0, 6), letter)
      assert.ok(early >= 2 && early <= 4, `${letter} has ${early} of the first six: ${order.join(' ')}`)
    }
  })

  test('turns are by work, not by requests: a caller whose answers are five times as long gets fewer of them', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('a', 14, { model, ...holder(keyOf('single')) }))
    await queueUp(gateway, questions('b', 14, { model, ...holder(keyOf('normal')) }))
    first.answer(100)
    const order: string[] = []
    while (order.length < 14) {
      const held = await service.next()
      order.push(held.label)
      held.answer(held.label.startsWith('a') ? 250 : 50)
    }
    const [long, short] = [countOf(order, 'a'), countOf(order, 'b')]
    assert.ok(short >= 2 * long, `${long} long and ${short} short ones: ${order.join(' ')}`)
    assert.ok(long >= 1, order.join(' '))
  })

  test('a weight of two gets twice the work of a weight of one', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('s', 12, { model, ...holder(keyOf('single')) }))
    await queueUp(gateway, questions('d', 12, { model, ...holder(keyOf('double')) }))
    first.answer()
    const order = await answerInTurn(service, 12)
    const double = countOf(order, 'd')
    assert.ok(double >= 7 && double <= 9, `${double} of twelve: ${order.join(' ')}`)
  })

  test('a high priority gets most of the work, and neither a normal nor a low one is starved', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('l', 4, { model, ...holder(keyOf('low')) }))
    await queueUp(gateway, questions('n', 10, { model, ...holder(keyOf('normal')) }))
    await queueUp(gateway, questions('h', 18, { model, ...holder(keyOf('high')) }))
    first.answer()
    const order = await answerInTurn(service, 20)
    const [high, normal, low] = ['h', 'n', 'l'].map((letter) => countOf(order, letter)) as [number, number, number]
    const told = `${high}, ${normal}, ${low} of twenty: ${order.join(' ')}`
    // Shares of 60, 30 and 10 in a hundred.
    assert.ok(high >= 10 && high <= 14, told)
    assert.ok(normal >= 4 && normal <= 8, told)
    assert.ok(low >= 1 && low <= 4, told)
  })

  test('`X-Priority` lowers the priority of a request', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('l', 8, { model, ...holder(keyOf('single'), { 'X-Priority': 'low' }) }))
    await queueUp(gateway, questions('n', 12, { model, ...holder(keyOf('normal')) }))
    first.answer()
    const order = await answerInTurn(service, 12)
    // Shares of 30 and 10.
    const low = countOf(order, 'l')
    assert.ok(low >= 2 && low <= 4, `${low} of twelve: ${order.join(' ')}`)
  })

  test('`X-Priority` never raises it', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('n', 8, { model, ...holder(keyOf('normal')) }))
    await queueUp(gateway, questions('x', 8, { model, ...holder(keyOf('single'), { 'X-Priority': 'high' }) }))
    first.answer()
    const order = await answerInTurn(service, 8)
    const raised = countOf(order, 'x')
    assert.ok(raised >= 3 && raised <= 5, `${raised} of eight: ${order.join(' ')}`)
  })

  test('callers known by their address are callers of their own', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 1 })], SELDOM)
    void ask(gateway, { label: 'first', ...caller(9) })
    const first = await service.next()
    await queueUp(gateway, questions('a', 6, caller(1)))
    await queueUp(gateway, questions('b', 1, caller(2)))
    first.answer()
    const order = await answerInTurn(service, 3)
    assert.ok(order.includes('b1'), `served first: ${order.join(' ')}`)
  })
})
