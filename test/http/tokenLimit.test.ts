import assert from 'node:assert/strict'
import { ServerResponse, IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { GatewayFault } from '../../src/faults.ts'
import type { Budgets } from '../../src/http/budgets.ts'
import { CallerBudgets } from '../../src/http/callerBudgets.ts'
import { TokenLimit, type TokenReservation } from '../../src/http/tokenLimit.ts'

/** A limit of a hundred tokens a minute, so that one is refilled in 0.6 seconds, on a clock that the test sets, in seconds. */
function hundredAMinute() {
  const clock = { seconds: 1000 }
  const budgets = new CallerBudgets({ perMinute: 100, now: () => clock.seconds * 1000 })
  const limit = new TokenLimit({
    rateOf: (caller) => (caller === 'free' ? undefined : 100),
    makeBudgets: () => budgets,
  })
  const reserve = (tokens: number) => {
    const res = new ServerResponse(new IncomingMessage(new Socket()))
    const reserved = limit.of('a')!.reserve(res, tokens) as TokenReservation
    return { reserved, shown: () => res.getHeader('x-ratelimit-remaining-tokens') }
  }
  /** The seconds that a refusal names. */
  const refusal = (tokens: number): number => {
    try {
      reserve(tokens)
    } catch (error) {
      return Number((error as GatewayFault).headers!['Retry-After'])
    }
    assert.fail('it passed')
  }
  return { clock, limit, reserve, refusal }
}

describe('a limit of tokens', () => {
  test('holds for callers that have one', () => {
    const { limit } = hundredAMinute()
    assert.equal(limit.of('free'), undefined)
    assert.ok(limit.of('a'))
  })

  test('is taken by reservations, whose unused part comes back', () => {
    const { reserve, refusal } = hundredAMinute()
    const { reserved, shown } = reserve(40)
    assert.equal(shown(), '60')
    reserve(40)
    assert.equal(refusal(40), 12)
    reserved.settle(20)
    assert.equal(reserve(40).shown(), '0')
  })

  test('is in debt where requests took more than was reserved for them', () => {
    const { clock, reserve, refusal } = hundredAMinute()
    reserve(10).reserved.settle(200)
    assert.equal(refusal(10), 66)
    clock.seconds += 66
    reserve(10)
  })

  test('is settled once for each request', () => {
    const { reserve } = hundredAMinute()
    const { reserved } = reserve(40)
    reserved.settle(10)
    reserved.settle(0)
    reserved.settle(90)
    assert.equal(reserve(10).shown(), '80')
  })

  test('lets a request that needs more than half of a minute’s tokens pass where half of them are free, and reserves all', () => {
    const { clock, reserve, refusal } = hundredAMinute()
    reserve(51)
    assert.equal(refusal(5000), 1)
    clock.seconds += 0.6
    const { reserved, shown } = reserve(5000)
    assert.equal(reserved.tokens, 100)
    assert.equal(shown(), '0')
    // 150 are used.
    assert.equal(refusal(10), 36)
    reserved.settle(10)
    assert.equal(reserve(10).shown(), '30')
  })
})

test('the time until all tokens are there again is written as OpenAI writes it', () => {
  let fullMs = 0
  const budgets: Budgets = {
    perMinute: 100,
    take: () => ({ isAdmitted: true, remaining: 1, retryMs: 0, fullMs }),
    giveBack: () => undefined,
    charge: () => undefined,
  }
  const limit = new TokenLimit({ rateOf: () => 100, makeBudgets: () => budgets })
  for (const [ms, text] of [
    [0, '0ms'],
    [16.2, '17ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1250, '1.25s'],
    [59_999.5, '1m0s'],
    [360_000, '6m0s'],
    [90_500, '1m30.5s'],
    [3_660_000, '1h1m0s'],
  ] as const) {
    const res = new ServerResponse(new IncomingMessage(new Socket()))
    fullMs = ms
    void limit.of('a')!.reserve(res, 1)
    assert.equal(res.getHeader('x-ratelimit-reset-tokens'), text)
  }
})
