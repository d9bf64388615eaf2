import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PrefixChain } from '../../../src/dispatch/warmCaches/prefixChain.ts'
import type { Prompt } from '../../../src/dispatch/warmCaches/prompt.ts'
import { WarmCaches, type CachedService, type WarmContext } from '../../../src/dispatch/warmCaches/warmCaches.ts'

/** A service with nothing against it. */
class Service {
  refusedAt = -Infinity
  own = 0
  /** Others' requests there, by estimate. */
  unseen = 0
  readonly key: string
  /** Divides the score. */
  weight = 1
  toldConcurrency: number | undefined
  readonly load: CachedService['load']

  constructor(key: string) {
    this.key = key
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const service = this
    this.load = {
      get inFlight() {
        return service.own
      },
      load: () => service.own + service.unseen,
      get toldConcurrency() {
        return service.toldConcurrency
      },
      withPenalties: (seconds) => seconds / service.weight,
    }
  }
}

/** The service has the prompt in its cache from now on. */
function warm(caches: WarmCaches<Service>, service: Service, prompt = promptOf(8000)): void {
  caches.begin(service, prompt).ended('cancelled', 0)
}

const FIRST: WarmContext<Service> = { now: 0, random: () => 0.99 }

function siteOf(count: number, usesIndex = true): { caches: WarmCaches<Service>; services: Service[] } {
  const caches = new WarmCaches<Service>({ now: () => 0, usesIndex })
  return { caches, services: Array.from({ length: count }, (_, n) => new Service(`http://s${n}`)) }
}

function promptOf(length: number, { text = 'a', ...more }: Partial<Prompt> & { text?: string } = {}): Prompt {
  const chain = new PrefixChain()
  chain.add(text.repeat(Math.ceil(length / text.length)).slice(0, length))
  return { chain, historyCharacters: 0, conversation: 7, isNamedSession: false, isStreamed: true, ...more }
}

test('a prompt goes back to the service that knows its beginning, also where that has some more requests', () => {
  const { caches, services } = siteOf(3)
  const use = caches.begin(services[1]!, promptOf(8000))
  assert.equal(use.warmCharacters, 0)
  use.ended('cancelled', 0)
  services[1]!.own = 2
  const choice = caches.choose(services, promptOf(9000), FIRST)!
  assert.equal(choice.service, services[1])
  assert.equal(choice.warmCharacters, 7 * 1024)
  assert.equal(caches.begin(services[1]!, promptOf(9000), choice).warmCharacters, 7 * 1024)
})

test('one that has very many more is left for another', () => {
  const { caches, services } = siteOf(3)
  warm(caches, services[1]!)
  services[1]!.own = 60
  assert.notEqual(caches.choose(services, promptOf(9000), FIRST)?.service, services[1])
})

test('without the index only the load counts', () => {
  const { caches, services } = siteOf(2, false)
  warm(caches, services[1]!)
  services[1]!.own = 1
  assert.equal(caches.choose(services, promptOf(9000), FIRST)?.service, services[0])
  assert.equal(caches.begin(services[1]!, promptOf(9000)).warmCharacters, 0)
})

test('services of which as much is to be expected are chosen at random', () => {
  const { caches, services } = siteOf(3)
  const chosen = new Set(
    [0, 0.4, 0.6, 0.99].map((uniform) => {
      return caches.choose(services, promptOf(3000), { ...FIRST, random: () => uniform })?.service
    }),
  )
  assert.ok(chosen.size > 1)
})

test('a candidate that is not allowed is not chosen, however warm', () => {
  const { caches, services } = siteOf(2)
  warm(caches, services[1]!)
  const allows = (service: Service): boolean => service !== services[1]
  assert.equal(caches.choose(services, promptOf(8000), { ...FIRST, allows })?.service, services[0])
  assert.equal(caches.choose(services, promptOf(8000), { ...FIRST, allows: () => false }), undefined)
})

test('what is to be prefilled somewhere counts until it is over', () => {
  const { caches, services } = siteOf(2)
  const use = caches.begin(services[1]!, promptOf(100_000))
  assert.equal(caches.choose(services, promptOf(3000, { text: 'b' }), FIRST)?.service, services[0])
  services[0]!.own = 1
  use.ended('cancelled', 0)
  assert.equal(caches.choose(services, promptOf(3000, { text: 'b' }), FIRST)?.service, services[1])
})

test('a service that went down, took no connection for a moment or left is cold again', () => {
  const { caches, services } = siteOf(2)
  const warmth = (): number => caches.ranked(services, promptOf(8000), FIRST)[0]!.warmCharacters
  for (const happens of [
    () => caches.wentDown(services[1]!),
    () => caches.left(services[1]!),
    () => (services[1]!.refusedAt = 17),
  ]) {
    warm(caches, services[1]!)
    assert.equal(warmth(), 7 * 1024)
    happens()
    assert.equal(warmth(), 0)
  }
  warm(caches, services[1]!)
  assert.equal(warmth(), 7 * 1024)
})

test('one that has as many requests as its operator says it runs at once gets more only if all have', () => {
  const { caches, services } = siteOf(2)
  warm(caches, services[1]!)
  services[1]!.toldConcurrency = 2
  services[1]!.own = 1
  assert.equal(caches.choose(services, promptOf(8000), FIRST)?.service, services[1])
  services[1]!.unseen = 0.4
  assert.equal(caches.choose(services, promptOf(8000), FIRST)?.service, services[1])
  services[1]!.unseen = 1
  assert.equal(caches.choose(services, promptOf(8000), FIRST)?.service, services[0])
  services[1]!.unseen = 0
  services[1]!.own = 2
  assert.equal(caches.choose(services, promptOf(8000), FIRST)?.service, services[0])
  services[0]!.toldConcurrency = 1
  services[0]!.own = 1
  assert.equal(caches.choose(services, promptOf(8000), FIRST)?.service, services[1])
})

test('short prompts of a session that the client named stay together, as long as that costs next to nothing', () => {
  const { caches, services } = siteOf(3)
  // Rates are well known.
  caches.rates.answers = 1e6
  const prompt = promptOf(300, { isNamedSession: true, conversation: 42 })
  const choose = (): Service | undefined => caches.choose(services, prompt, FIRST)?.service
  warm(caches, services[1]!, prompt)
  services[2]!.weight = 1.2
  assert.equal(choose(), services[1])
  services[2]!.weight = 1.3
  assert.equal(choose(), services[2])
  services[2]!.weight = 1.2
  services[1]!.unseen = 0.4
  assert.equal(choose(), services[1])
  services[1]!.unseen = 0
  services[1]!.own = 1
  assert.equal(choose(), services[2])
  services[0]!.own = services[2]!.own = 1
  assert.equal(choose(), services[1])
})

test('scores of all candidates are told best first', () => {
  const { caches, services } = siteOf(3)
  services[0]!.own = 5
  services[2]!.own = 1
  const ranked = caches.ranked(services, promptOf(3000), FIRST)
  assert.deepEqual(
    ranked.map(({ service }) => service),
    [services[1], services[2], services[0]],
  )
  assert.equal(caches.choose(services, promptOf(3000), FIRST)?.score, ranked[0]!.score)
})

test('of other gateways’ traffic the later turns of a conversation go to its home, the same at each gateway', () => {
  const choices = [0, 1].map(() => {
    const { caches, services } = siteOf(4)
    for (const service of services) caches.polled(service, 4, 2)
    return Array.from({ length: 40 }, (_, n) => {
      const prompt = promptOf(9000, { text: `${n} `, historyCharacters: 8000, conversation: n * 1e13 })
      const choice = caches.choose(services, prompt, { ...FIRST, random: Math.random })!
      assert.equal(choice.coldCharacters, 9000 - Math.floor(Math.sqrt(0.5) * 8000))
      // A guess is no knowledge: it counts in the score, but is not reported as warm.
      assert.equal(choice.warmCharacters, 0)
      const use = caches.begin(choice.service, prompt, choice)
      assert.equal(use.warmCharacters, 0)
      use.ended('cancelled', 0)
      return choice.service.key
    })
  })
  assert.deepEqual(choices[0], choices[1])
  assert.equal(new Set(choices[0]).size, 4)
})

test('a conversation whose history is in our own index has no other home, however much others send', () => {
  const { caches, services } = siteOf(4)
  for (const service of services) caches.polled(service, 50, 1)
  for (let n = 0; n < 12; n++) {
    const prompt = promptOf(9000, { text: `${n} `, historyCharacters: 8000, conversation: n * 1e13 })
    warm(caches, services[n % 4]!, prompt)
    // More than a guess is worth, less than knowledge is.
    for (const service of services) service.own = service === services[n % 4] ? 1 : 0
    const choice = caches.choose(services, prompt, FIRST)!
    assert.equal(choice.service, services[n % 4])
    assert.ok(choice.warmCharacters > 0)
  }
})

test('gateways that know of each other have the turns of a conversation meet, without any poll of the services', () => {
  const { services } = siteOf(4)
  let seconds = 0
  const gateways = [0, 1].map(() => new WarmCaches<Service>({ now: () => seconds, siblings: () => 1 }))
  let meetings = 0
  for (let n = 0; n < 40; n++) {
    let last: Service | undefined
    for (let turn = 0; turn < 6; turn++) {
      const historyCharacters = turn * 2000
      const prompt = promptOf(historyCharacters + 1000, { text: `${n} `, historyCharacters, conversation: n * 1e13 })
      const gateway = gateways[(n + turn) % 2]!
      const { service } = gateway.choose(services, prompt, { ...FIRST, random: Math.random })!
      const use = gateway.begin(service, prompt)
      use.reply = { chain: () => promptOf(historyCharacters + 2000, { text: `${n} ` }).chain }
      seconds += 0.2
      use.firstToken()
      seconds += 3
      use.ended('success', seconds)
      if (turn > 1 && service === last) meetings++
      last = service
    }
  }
  assert.ok(meetings >= 0.9 * 40 * 4, `${meetings} of ${40 * 4}`)
})

test('of requests that come one at a time some soon try a service of which nothing is known', () => {
  const { services } = siteOf(2)
  let seconds = 0
  const caches = new WarmCaches<Service>({ now: () => seconds })
  const counts = new Map<Service, number>()
  for (let n = 0; n < 40; n++) {
    const prompt = promptOf(3000, { text: `${n} ` })
    const { service } = caches.choose(services, prompt, FIRST)!
    const slowness = service === services[0] ? 10 : 1
    const use = caches.begin(service, prompt)
    seconds += slowness * 20e-6 * (prompt.chain.length + 400)
    use.firstToken()
    seconds += slowness
    use.ended('success', seconds)
    counts.set(service, (counts.get(service) ?? 0) + 1)
  }
  assert.ok(counts.get(services[1]!)! > 30, `${[...counts.values()]}`)
})

test('first turns have no home, nor has any conversation where there is no other gateway', () => {
  const { caches, services } = siteOf(4)
  const coldOf = (historyCharacters: number): number | undefined =>
    caches.choose(services, promptOf(9000, { historyCharacters }), FIRST)?.coldCharacters
  assert.equal(coldOf(8000), 9000)
  for (const service of services) caches.polled(service, 4, 2)
  assert.equal(coldOf(0), 9000)
  assert.ok(coldOf(8000)! < 9000)
  for (const service of services) caches.wentDown(service)
  assert.equal(coldOf(8000), 9000)
})

test('a home that has left hands its conversations on, and the others keep theirs', () => {
  const { caches, services } = siteOf(3)
  for (const service of services) caches.polled(service, 4, 0)
  const homeOf = (conversation: number, among: Service[]): Service | undefined => {
    const prompt = promptOf(9000, { historyCharacters: 8000, conversation })
    return caches.choose(among, prompt, FIRST)?.service
  }
  for (let n = 0; n < 50; n++) {
    const before = homeOf(n * 1e13, services)
    const after = homeOf(n * 1e13, services.slice(1))
    assert.ok(before === services[0] || before === after)
  }
})
