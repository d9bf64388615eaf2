import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'
import type { Prompt } from '../../../src/dispatch/warmCaches/prompt.ts'
import { FleetRates } from '../../../src/dispatch/warmCaches/rates.ts'
import { ServiceCache, type CacheUse } from '../../../src/dispatch/warmCaches/serviceCache.ts'

interface Site {
  readonly clock: { now: number }
  readonly load: { inFlight: number }
  readonly rates: FleetRates
  readonly cache: ServiceCache
  /** Sends a prompt there. */
  readonly send: (prompt: Prompt) => CacheUse
}

function siteOf(): Site {
  const clock = { now: 100 }
  const load = { inFlight: 0 }
  const rates = new FleetRates()
  const cache = new ServiceCache({ rates, now: () => clock.now }, load, 1024)
  const send = (prompt: Prompt): CacheUse => {
    const warm = cache.warmCharacters(prompt)
    return cache.begin(prompt, warm, prompt.chain.length - warm)
  }
  return { clock, load, rates, cache, send }
}

/** A prompt of so many characters; two are alike if their `text` is. */
function promptOf(length: number, { text = 'a', ...more }: Partial<Prompt> & { text?: string } = {}): Prompt {
  const chain = new PrefixChain()
  chain.add(text.repeat(Math.ceil(length / text.length)).slice(0, length))
  return { chain, historyCharacters: 0, conversation: 7, isNamedSession: false, isStreamed: true, ...more }
}

test('a prompt is warm as far as one before it began alike, in steps of 1,024 characters', () => {
  const { cache, send } = siteOf()
  assert.equal(cache.warmCharacters(promptOf(5000)), 0)
  send(promptOf(3000))
  assert.equal(cache.warmCharacters(promptOf(5000)), 2048)
  assert.equal(cache.warmCharacters(promptOf(1500)), 1024)
  assert.equal(cache.warmCharacters(promptOf(5000, { text: 'b' })), 0)
})

test('what is cold is counted until the first token comes, and no longer', () => {
  const { clock, cache, send } = siteOf()
  const first = send(promptOf(3000))
  assert.equal(cache.prefilling, 3000)
  const second = send(promptOf(5000))
  assert.equal(second.warmCharacters, 2048)
  assert.equal(cache.prefilling, 3000 + 5000 - 2048)
  clock.now += 1
  first.firstToken()
  first.firstToken()
  assert.equal(cache.prefilling, 5000 - 2048)
  first.ended('success', clock.now)
  assert.equal(cache.prefilling, 5000 - 2048)
  second.ended('cancelled', clock.now)
  second.ended('cancelled', clock.now)
  second.firstToken()
  assert.equal(cache.prefilling, 0)
})

test('a prompt that is all warm still has four characters to prefill', () => {
  const { cache, send } = siteOf()
  send(promptOf(2048)).firstToken()
  send(promptOf(2048))
  assert.equal(cache.prefilling, 4)
})

test('an impossible number of cold characters counts as all of the prompt, or as the least', () => {
  for (const cold of [NaN, Infinity, -Infinity, 3001]) {
    const { cache } = siteOf()
    const use = cache.begin(promptOf(3000), 0, cold)
    assert.equal(cache.prefilling, cold < 0 ? 4 : 3000)
    use.ended('cancelled', 100)
    assert.equal(cache.prefilling, 0)
  }
})

test('however a request ends, nothing of it is left to prefill', () => {
  for (const outcome of ['success', 'failure', 'pushback', 'cancelled'] as const) {
    for (const isStreamed of [true, false]) {
      for (const hasFirstToken of [true, false]) {
        const { clock, cache, send } = siteOf()
        const use = send(promptOf(3000, { isStreamed }))
        if (hasFirstToken) use.firstToken()
        use.ended(outcome, clock.now)
        assert.equal(cache.prefilling, 0)
      }
    }
  }
})

test('only first tokens of streams and their whole answers teach how fast the service is', () => {
  const { clock, rates, send } = siteOf()
  const failed = send(promptOf(3000))
  clock.now += 50
  failed.ended('failure', clock.now)
  send(promptOf(3000)).ended('success', clock.now)
  assert.equal(rates.prefill.hasLearnt || rates.decode.hasLearnt || rates.whole.hasLearnt, false)

  const use = send(promptOf(3600, { text: 'b' }))
  clock.now += 2
  use.firstToken()
  assert.equal(rates.prefillSeconds, 2 / 4000)
  clock.now += 4
  use.ended('success', clock.now)
  assert.equal(rates.decodeSeconds, 4 / 32)
})

test('decoding is reckoned among as many requests as are there on the mean', () => {
  const { clock, load, rates, send } = siteOf()
  load.inFlight = 2
  const use = send(promptOf(3000))
  use.firstToken()
  clock.now += 4
  load.inFlight = 6
  use.ended('success', clock.now)
  assert.equal(rates.decodeSeconds, 4 / 36)
})

test('an answer that is no stream counts as prefilled after as long as its prefill should take', () => {
  const { clock, cache, send } = siteOf()
  const use = send(promptOf(9600, { isStreamed: false }))
  send(promptOf(1000, { text: 'b' }))
  assert.equal(cache.prefilling, 10_600)
  // 60 µs for each of 10,000 characters.
  cache.score(4, 0, clock.now + 0.59)
  assert.equal(cache.prefilling, 10_600)
  cache.score(4, 0, clock.now + 0.61)
  assert.equal(cache.prefilling, 1000)
  use.ended('success', clock.now + 1)
  assert.equal(cache.prefilling, 1000)
})

test('where there are no streams at all, whole answers teach', () => {
  const { clock, rates, send } = siteOf()
  for (let n = 0; n < 200; n++) {
    const use = send(promptOf(3000, { text: 'x'.repeat(n + 1) + 'y', isStreamed: false }))
    clock.now += 8
    use.firstToken()
    use.ended('success', clock.now)
  }
  assert.equal(rates.isWithoutStreams, true)
  assert.ok(Math.abs(rates.prefillSeconds * 3400 + rates.decodeSeconds * 32 - 8) < 0.5)
})

test('a huge prompt fills a small part of the index until its service has begun to answer or has served it', () => {
  for (const [happens, depth] of [
    [(use: CacheUse) => use.firstToken(), 300],
    [(use: CacheUse) => use.ended('success', 100), 300],
    [(use: CacheUse) => use.ended('pushback', 100), 16],
    [(use: CacheUse) => use.ended('cancelled', 100), 16],
  ] as const) {
    const { cache, send } = siteOf()
    const prompt = promptOf(300 * 1024)
    const use = send(prompt)
    assert.equal(cache.indexSize, 16)
    happens(use)
    assert.equal(cache.warmCharacters(prompt), depth * 1024)
    use.ended('cancelled', 100)
    assert.equal(cache.indexSize, depth)
  }
})

test('the answer is warm for the next turn once it has come to its end', () => {
  const { clock, cache, send } = siteOf()
  const use = send(promptOf(3000))
  let asked = 0
  use.reply = {
    chain: () => {
      asked++
      return promptOf(5000).chain
    },
  }
  assert.equal(cache.warmCharacters(promptOf(6000)), 2048)
  use.ended('success', clock.now)
  use.ended('success', clock.now)
  assert.equal(asked, 1)
  assert.equal(cache.warmCharacters(promptOf(6000)), 4096)
})

test('an answer that broke off, or could not be read, is not', () => {
  const { clock, cache, send } = siteOf()
  const broken = send(promptOf(3000))
  broken.reply = { chain: () => promptOf(5000).chain }
  broken.ended('failure', clock.now)
  const unread = send(promptOf(3000))
  unread.reply = { chain: () => undefined }
  unread.ended('success', clock.now)
  assert.equal(cache.warmCharacters(promptOf(6000)), 2048)
})

test('short prompts of a session that the client named are warm where the session was before', () => {
  const { cache, send } = siteOf()
  const named = { isNamedSession: true, conversation: 42 }
  send(promptOf(500, named))
  assert.equal(cache.warmCharacters(promptOf(700, { ...named, text: 'b' })), 700)
  assert.equal(cache.warmCharacters(promptOf(1500, { ...named, text: 'b' })), 1023)
  assert.equal(cache.warmCharacters(promptOf(700, { ...named, conversation: 43 })), 0)
  assert.equal(cache.warmCharacters(promptOf(700, { ...named, isNamedSession: false })), 0)
})

test('a service that was down is cold and known for nothing, and what runs there teaches no more', () => {
  const { clock, rates, cache, send } = siteOf()
  for (let n = 0; n < 100; n++) {
    const use = send(promptOf(3600, { text: 'x'.repeat(n + 1) + 'y' }))
    clock.now += 2
    use.firstToken()
    use.ended('success', clock.now)
  }
  const slow = cache.prefillSeconds
  assert.ok(slow > 4e-4)
  rates.prefill.observed(1, 100_000)
  const use = send(promptOf(3000))
  use.reply = { chain: () => promptOf(3000).chain }
  cache.reset()
  assert.equal(cache.warmCharacters(promptOf(3000)), 0)
  assert.equal(cache.prefilling, 3000)
  const fleet = rates.prefillSeconds
  assert.equal(cache.prefillSeconds, 0.98 * fleet)
  clock.now += 30
  use.firstToken()
  use.ended('success', clock.now)
  assert.equal(cache.prefilling, 0)
  assert.equal(cache.prefillSeconds, 0.98 * fleet)
  assert.equal(cache.indexSize, 0)
})
