import type { Response } from 'express'
import assert from 'node:assert/strict'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { GatewayFault, type FaultCode } from '../../src/faults.ts'
import { CallerBudgets } from '../../src/http/callerBudgets.ts'
import { Spending } from '../../src/openai/spending.ts'
import { UsageWatch } from '../../src/openai/usage.ts'
import { SpendingEstimates } from '../../src/openai/spendingEstimates.ts'
import { SeenTokens } from '../../src/openai/spendingSeen.ts'

describe('an estimate', () => {
  test('is a token for four bytes of the prompt and a modest reply where nothing is known', () => {
    const estimates = new SpendingEstimates()
    assert.equal(estimates.promptTokens('a', 400), 100)
    assert.equal(estimates.replyTokens('a'), 256)
  })

  test('is what the caller’s last answers took, those before fading, and nobody else’s', () => {
    const estimates = new SpendingEstimates()
    estimates.learn('a', 1000, { promptTokens: 500, replyTokens: 10 })
    assert.equal(estimates.promptTokens('a', 200), 100)
    assert.equal(estimates.replyTokens('a'), 10)
    for (let i = 0; i < 50; i++) estimates.learn('a', 1000, { promptTokens: 100, replyTokens: 1000 })
    assert.ok(Math.abs(estimates.promptTokens('a', 200) - 20) < 1)
    assert.ok(Math.abs(estimates.replyTokens('a') - 1000) < 10)
    assert.equal(estimates.replyTokens('b'), 256)
  })

  test('learns nothing of prompts without text, and of what is not known', () => {
    const estimates = new SpendingEstimates()
    estimates.learn('a', 0, { promptTokens: 500, replyTokens: undefined })
    estimates.learn('a', 100, { promptTokens: undefined, replyTokens: undefined })
    assert.equal(estimates.promptTokens('a', 400), 100)
    assert.equal(estimates.replyTokens('a'), 256)
  })

  test('remembers so many callers at most', () => {
    const estimates = new SpendingEstimates()
    for (let i = 0; i <= 10_000; i++) estimates.learn(`caller ${i}`, 4, { promptTokens: 4, replyTokens: 1 })
    assert.equal(estimates.replyTokens('caller 0'), 256)
    assert.equal(estimates.replyTokens('caller 1'), 1)
    assert.equal(estimates.replyTokens('caller 10000'), 1)
  })
})

describe('the tokens of a reply that were seen', () => {
  const seen = (contentType: string, ...pieces: string[]): number => {
    const tokens = new SeenTokens()
    tokens.begin(contentType)
    for (const piece of pieces) tokens.see(Buffer.from(piece))
    return tokens.tokens
  }
  const EVENTS = 'text/event-stream; charset=utf-8'

  test('are the events of a stream, however they come in pieces', () => {
    assert.equal(seen(EVENTS, 'data: {"a":"data: b"}\n\n', 'event: x\ndata: {}\n\ndata: {}\n\n', ': ping\n\n'), 3)
    assert.equal(seen(EVENTS, 'data: {"a"', ':1}\n\ndata: {}\n\n'), 2)
  })

  test('are more where events have more text than one token', () => {
    assert.equal(seen(EVENTS, `data: ${'a'.repeat(4294)}`), 1000)
  })

  test('are a quarter of the bytes of an answer in one piece, less its frame', () => {
    assert.equal(seen('application/json', 'a'.repeat(300), 'a'.repeat(4000)), 1000)
    assert.equal(seen('application/json', '{}'), 1)
  })

  test('are none where nothing was seen, and count anew where another answer begins', () => {
    assert.equal(seen(EVENTS), 0)
    const tokens = new SeenTokens()
    tokens.begin(EVENTS)
    tokens.see(Buffer.from('data: 1\n\ndata: 2\n\n'))
    tokens.begin(EVENTS)
    tokens.see(Buffer.from('data: 1\n\n'))
    assert.equal(tokens.tokens, 1)
  })
})

describe('a request that ends before anything of an answer was written', () => {
  /** What of a thousand tokens is used in the end by a request of 400 bytes. */
  async function usedAfter(code: FaultCode, wasTried: boolean): Promise<number> {
    const budgets = new CallerBudgets({ perMinute: 1000, now: () => 0 })
    const spending = new Spending({ rateOf: () => 1000, makeBudgets: () => budgets })
    const res = new ServerResponse(new IncomingMessage(new Socket())) as Response
    const bytes = Buffer.alloc(400, ' ')
    const request = { path: '/chat/completions', dialect: 'chat', bytes, members: [], isBackground: false } as const
    const spent = (await spending.begin(res, 'a', request))!
    assert.equal(budgets.take('a', 0).remaining, 1000 - 100 - 256)
    if (wasTried) spent.tried()
    const fault = new GatewayFault(code)
    await assert.rejects(spent.settledBy(Promise.reject(fault), new UsageWatch()), fault)
    return 1000 - budgets.take('a', 0).remaining
  }

  test('takes nothing where it waited for a place only, or was refused', async () => {
    for (const code of ['ERR_CLIENT_GONE', 'ERR_QUEUE_FULL', 'ERR_QUEUE_TIMEOUT', 'ERR_NO_SERVICE'] as const)
      assert.equal(await usedAfter(code, false), 0, code)
    for (const code of ['ERR_NODE_REFUSED', 'ERR_NODE_RESET', 'ERR_NODE_BUSY', 'ERR_QUEUE_TIMEOUT'] as const)
      assert.equal(await usedAfter(code, true), 0, code)
  })

  test('takes its prompt where a service had it, and its client left or the time was over', async () => {
    for (const code of ['ERR_CLIENT_GONE', 'ERR_NODE_SILENT', 'ERR_NODE_SLOW'] as const)
      assert.equal(await usedAfter(code, true), 100, code)
  })
})

test('files that are embedded in a prompt count as a thousand tokens at most', async () => {
  const budgets = new CallerBudgets({ perMinute: 100_000, now: () => 0 })
  const spending = new Spending({ rateOf: () => 100_000, makeBudgets: () => budgets })
  const res = new ServerResponse(new IncomingMessage(new Socket())) as Response
  const url = `data:image/png;base64,${'A'.repeat(500_000)}`
  const bytes = Buffer.from(JSON.stringify({ content: [{ url }, { url }, { url: 'data:;base64,AAAA' }] }))
  await spending.begin(res, 'a', { path: '/embeddings', dialect: undefined, bytes, members: [], isBackground: false })
  const used = 100_000 - budgets.take('a', 0).remaining
  assert.ok(used > 2000 && used < 2100, String(used))
})
