import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DEFAULT_CONSTANTS } from '../../../../src/fleet/load/constants.ts'
import { Outliers, type Asked, type Trial } from '../../../../src/fleet/load/outliers/outliers.ts'

interface Backend {
  readonly name: string
}

/** Backends a, b and c, of which a is the suspect. Each refusal is of a caller of its own unless one is named. */
class Fleet {
  readonly a = { name: 'a' }
  readonly b = { name: 'b' }
  readonly c = { name: 'c' }
  readonly told: string[] = []
  hasSiblings = true
  readonly outliers = new Outliers<Backend>(DEFAULT_CONSTANTS, {
    setAside: ({ name }, { kind }) => this.told.push(`${name} aside for ${kind}`),
    freed: ({ name }, kind, by) => this.told.push(`${name} freed for ${kind} by ${by}`),
  })
  #callers = 0

  asked(caller?: string, kind = 'k'): Asked<Backend> {
    return { kind, caller: caller ?? `caller ${this.#callers++}` }
  }

  refuse(backend: Backend, now: number, asked = this.asked(), trial?: Trial<Backend>, status = 500): void {
    this.outliers.refused(asked, backend, now, { status, hasSiblings: () => this.hasSiblings, trial })
  }

  serve(backend: Backend, now: number, asked = this.asked(), trial?: Trial<Backend>): void {
    this.outliers.answered(asked, backend, now, true, trial)
  }

  /** Refusals in a row until the backend is set aside, the last one included. */
  refusalsUntilAside(backend: Backend, now: number, kind = 'k'): number {
    for (let n = 1; n <= 100; n++) {
      this.refuse(backend, now, this.asked(undefined, kind))
      if (this.isAside(backend, now, kind)) return n
    }
    return Infinity
  }

  isAside(backend: Backend, now: number, kind = 'k'): boolean {
    return this.outliers.choice(kind, now)?.admits(backend, now, true) === false
  }

  mayTry(backend: Backend, now: number): boolean {
    return this.outliers.choice('k', now)?.admits(backend, now, false) !== false
  }
}

describe('a backend that refuses', () => {
  test('is set aside after three refusals while little is known of its siblings, after two once they serve', () => {
    assert.equal(new Fleet().refusalsUntilAside(new Fleet().a, 0), 3)
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0)
    for (let n = 0; n < 10; n++) fleet.serve(n % 2 ? fleet.b : fleet.c, 1)
    assert.equal(fleet.refusalsUntilAside(fleet.a, 2), 1)
  })

  test('is set aside after two refusals that came before its siblings served, as soon as they do', () => {
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0)
    fleet.refuse(fleet.a, 0)
    fleet.serve(fleet.b, 0.1)
    assert.equal(fleet.isAside(fleet.a, 0.1), false)
    fleet.serve(fleet.b, 0.2)
    assert.equal(fleet.isAside(fleet.a, 0.2), true)
  })

  test('is not set aside by what its siblings serve long after it refused', () => {
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0)
    fleet.refuse(fleet.a, 0)
    for (let n = 0; n < 10; n++) fleet.serve(fleet.b, 3)
    assert.equal(fleet.isAside(fleet.a, 3), false)
  })

  test('is not where its siblings refuse half of what they get, until nineteen in a row', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 400; n++) {
      fleet.refuse(fleet.b, 0)
      fleet.serve(fleet.b, 0)
    }
    fleet.refuse(fleet.a, 0)
    for (let n = 0; n < 400; n++) {
      fleet.refuse(fleet.b, 0)
      fleet.serve(fleet.b, 0)
    }
    assert.equal(fleet.refusalsUntilAside(fleet.a, 0), 18)
  })

  test('is not where it has no siblings', () => {
    const fleet = new Fleet()
    fleet.hasSiblings = false
    assert.equal(fleet.refusalsUntilAside(fleet.a, 0), Infinity)
  })

  test('is let alone once it has served enough since', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 50; n++) {
      fleet.refuse(fleet.a, n)
      // Six halve the odds of one refusal to less than one.
      for (let served = 0; served < 6; served++) fleet.serve(fleet.a, n + 0.1)
      fleet.serve(fleet.b, n + 0.2)
    }
    assert.deepEqual(fleet.told, [])
  })

  test('starts anew 300 seconds after its last refusal', () => {
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0)
    fleet.refuse(fleet.a, 299)
    assert.deepEqual(fleet.told, [])
    fleet.serve(fleet.b, 300)
    fleet.refuse(fleet.a, 600)
    assert.deepEqual(fleet.told, [])
    fleet.refuse(fleet.a, 899)
    fleet.refuse(fleet.a, 900)
    assert.equal(fleet.told.length, 1)
  })

  test('is set aside for that kind of work alone', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    assert.equal(fleet.isAside(fleet.a, 1), true)
    assert.equal(fleet.isAside(fleet.a, 1, 'other'), false)
    assert.equal(fleet.isAside(fleet.b, 1), false)
  })

  test('needs only one more refusal of another kind while it is set aside', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    assert.equal(fleet.refusalsUntilAside(fleet.a, 1, 'other'), 1)
    assert.equal(fleet.isAside(fleet.a, 5, 'other'), true)
  })

  test('is free of what followed from another kind as soon as it is free of that', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    fleet.refusalsUntilAside(fleet.a, 1, 'other')
    const trial = fleet.outliers.started('k', fleet.a, 20)
    fleet.serve(fleet.a, 20, fleet.asked(), trial)
    assert.equal(fleet.isAside(fleet.a, 20, 'other'), false)
  })

  test('is not suspected of all kinds because it lacks one: 404 speaks of that kind', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 3; n++) fleet.refuse(fleet.a, 0, fleet.asked(), undefined, 404)
    assert.equal(fleet.isAside(fleet.a, 1), true)
    assert.equal(fleet.refusalsUntilAside(fleet.a, 1, 'other'), 3)
  })

  test('costs nothing to anybody before: no kind is kept without a refusal, nor long after the last', () => {
    const fleet = new Fleet()
    fleet.serve(fleet.a, 0)
    assert.equal(fleet.outliers.kinds, 0)
    fleet.refuse(fleet.a, 0)
    for (let n = 0; n < 20; n++) fleet.serve(fleet.a, n)
    fleet.serve(fleet.a, 300)
    fleet.serve(fleet.a, 400)
    assert.equal(fleet.outliers.kinds, 0)
  })
})

describe('a backend that is set aside', () => {
  test('is tried by one request at a time once its time is over, but never by a retry', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    assert.equal(fleet.mayTry(fleet.a, 19), false)
    assert.equal(fleet.mayTry(fleet.a, 20), true)
    assert.equal(fleet.isAside(fleet.a, 20), true)
    const trial = fleet.outliers.started('k', fleet.a, 20)
    assert.ok(trial)
    assert.equal(fleet.mayTry(fleet.a, 20), false)
    assert.equal(fleet.outliers.started('k', fleet.a, 20), undefined)
    fleet.outliers.trialEnded(trial)
    assert.equal(fleet.mayTry(fleet.a, 20), true)
  })

  test('is free when the trial is served, and set aside again by one more refusal', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    for (let n = 0; n < 20; n++) fleet.serve(fleet.b, n)
    fleet.serve(fleet.a, 20, fleet.asked(), fleet.outliers.started('k', fleet.a, 20))
    assert.deepEqual(fleet.told, ['a aside for k', 'a freed for k by trial'])
    assert.equal(fleet.refusalsUntilAside(fleet.a, 21), 1)
  })

  test('is set aside for longer when the trial is refused', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    fleet.refuse(fleet.a, 20, fleet.asked(), fleet.outliers.started('k', fleet.a, 20))
    assert.equal(fleet.mayTry(fleet.a, 69), false)
    assert.equal(fleet.mayTry(fleet.a, 70), true)
  })

  test('is not set aside for longer by what was under way', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    fleet.refuse(fleet.a, 10)
    fleet.refuse(fleet.a, 19)
    assert.equal(fleet.mayTry(fleet.a, 20), true)
  })

  test('stays on trial after an answer about the request itself, which proves nothing', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    const trial = fleet.outliers.started('k', fleet.a, 20)
    fleet.outliers.answered(fleet.asked(), fleet.a, 20, false, trial)
    fleet.outliers.trialEnded(trial!)
    assert.equal(fleet.isAside(fleet.a, 20), true)
    assert.equal(fleet.mayTry(fleet.a, 20), true)
  })

  test('is free at once when its siblings turn out to refuse as well, and the step is not counted', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    assert.equal(fleet.isAside(fleet.a, 1), true)
    for (let n = 0; n < 5; n++) fleet.refuse(fleet.b, 1)
    assert.equal(fleet.isAside(fleet.a, 1), false)
    assert.deepEqual(fleet.told, ['a aside for k', 'a freed for k by siblings'])
  })

  test('is forgotten when nothing comes to try it with', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    assert.equal(fleet.isAside(fleet.a, 319), true)
    assert.equal(fleet.isAside(fleet.a, 321), false)
  })

  test('is told of with its most common status and the rates of its window', () => {
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0)
    for (let n = 0; n < 99; n++) fleet.serve(fleet.b, 1)
    fleet.refuse(fleet.b, 1)
    for (let n = 0; n < 4; n++) fleet.refuse(fleet.a, 2)
    fleet.serve(fleet.a, 2)
    const [avoided] = fleet.outliers.avoided(fleet.a, 3)
    assert.equal(avoided?.kind, 'k')
    assert.equal(avoided.reason, 'answers 500 to 83 % where its siblings answer 1 %')
    assert.equal(avoided.until, 22)
    fleet.refuse(fleet.a, 3, fleet.asked(), undefined, 502)
    assert.match(fleet.outliers.avoided(fleet.a, 3)[0]!.reason, /^answers 500 and the like to 86 %/)
  })

  test('is forgotten when it is taken out of the list', () => {
    const fleet = new Fleet()
    fleet.refusalsUntilAside(fleet.a, 0)
    fleet.outliers.forget(fleet.a)
    assert.equal(fleet.outliers.isActive, false)
    assert.equal(fleet.isAside(fleet.a, 1), false)
  })
})

describe('refusals of one caller', () => {
  test('say nothing of any backend from the moment they span two, within two seconds and with nothing served between', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 100; n++) fleet.refuse(n % 2 ? fleet.b : fleet.a, n, fleet.asked('bad'))
    assert.deepEqual(fleet.told, [])
  })

  test('are taken out of what they had added, so that a backend they set aside is free at once', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 10; n++) fleet.refuse(fleet.a, 0.1 * n, fleet.asked('bad'))
    assert.deepEqual(fleet.told, ['a aside for k'])
    fleet.refuse(fleet.b, 1, fleet.asked('bad'))
    assert.equal(fleet.isAside(fleet.a, 1), false)
  })

  test('still count in the rate of the siblings', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 40; n++) fleet.refuse(n % 2 ? fleet.b : fleet.c, 0, fleet.asked('bad'))
    assert.ok(fleet.refusalsUntilAside(fleet.a, 0) > 19)
  })

  test('more than two seconds apart are not one run', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 3; n++) {
      fleet.refuse(fleet.a, 5 * n, fleet.asked('some'))
      for (let served = 0; served < 100; served++) fleet.serve(fleet.b, 5 * n + 1)
    }
    fleet.refuse(fleet.b, 17.5, fleet.asked('some'))
    assert.equal(fleet.isAside(fleet.a, 17.5), true)
  })

  test('are another run once that caller was served', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 3; n++) {
      fleet.refuse(fleet.a, n, fleet.asked('some'))
      fleet.serve(fleet.b, n + 0.1, fleet.asked('some'))
    }
    assert.deepEqual(fleet.told, ['a aside for k'])
  })

  test('are one run for the tries of one request, however long these take', () => {
    const fleet = new Fleet()
    for (let n = 0; n < 20; n++) {
      const asked = fleet.asked(`caller ${n}`)
      fleet.refuse(fleet.a, 10 * n, asked)
      fleet.refuse(fleet.b, 10 * n + 5, asked)
    }
    assert.deepEqual(fleet.told, [])
  })

  test('add nothing for two seconds after they spanned two, though the caller was served since', () => {
    const fleet = new Fleet()
    fleet.refuse(fleet.a, 0, fleet.asked('bad'))
    fleet.refuse(fleet.b, 0, fleet.asked('bad'))
    fleet.serve(fleet.c, 0.1, fleet.asked('bad'))
    for (let n = 0; n < 20; n++) fleet.refuse(fleet.a, 0.2 + 0.05 * n, fleet.asked('bad'))
    assert.deepEqual(fleet.told, [])
    fleet.refuse(fleet.a, 3.1, fleet.asked('bad'))
    for (let n = 0; n < 9; n++) fleet.refuse(fleet.a, 3.2, fleet.asked('bad'))
    assert.deepEqual(fleet.told, ['a aside for k'])
  })
})

test('however many kinds of work and callers refuse, what is kept stays bounded', () => {
  const fleet = new Fleet()
  for (let n = 0; n < 5000; n++) fleet.refuse(fleet.a, 0.001 * n, fleet.asked(undefined, `kind ${n}`))
  assert.ok(fleet.outliers.kinds <= 1000)
  fleet.refuse(fleet.a, 6, fleet.asked(undefined, 'x'.repeat(1001)))
  assert.ok(fleet.outliers.kinds <= 1000)
})

test('kinds for which a backend is set aside outlast those that only had a refusal', () => {
  const fleet = new Fleet()
  fleet.refusalsUntilAside(fleet.a, 0)
  fleet.outliers.forget(fleet.b)
  for (let n = 0; n < 3000; n++) fleet.refuse(fleet.b, 1, fleet.asked(undefined, `kind ${n}`))
  assert.equal(fleet.isAside(fleet.a, 2), true)
})
