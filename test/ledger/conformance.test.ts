/** What every ledger does, wherever it keeps jobs. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { LOOKED_AT } from '../../src/ledger/browse.ts'
import { PIECE_BYTES, type JobRecord, type JobRun, type JobsQuery, type Ledger } from '../../src/ledger/ledger.ts'
import { LongBytes } from '../../src/ledger/longBytes.ts'
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import { redisMissing } from '../kit/redisServer.ts'
import { eventually } from '../kit/wait.ts'
import { DAY_MS, finishedJobs, HOUR_MS, unfinishedIn, wholeOf } from './ledgerKit.ts'
import { LEDGERS, type Open } from './ledgers.ts'

for (const [name, open] of Object.entries(LEDGERS)) {
  suite(`the ${name} ledger`, { skip: name === 'redis' && redisMissing }, () => {
    jobsAreKept(open)
    jobsEnd(open)
    longResultsAreReceived(open)
    callersSeeTheirOwn(open)
    answersAreKept(open)
    valuesAreKept(open)
    operatorsSeeAll(open)
    whatIsKeptIsBounded(open)
  })
}

function jobsAreKept(open: Open): void {
  test('a job is found with all that was recorded of it', async (t) => {
    const ledger = await open(t)
    const plain = aJob()
    const full = aJob({ kind: 'stream', failover: false, cost: 2.5, clientGone: true, containers: ['ä', 'b"c'] })
    await ledger.insert([{ record: plain }, { record: full, request: Buffer.from('{}') }])
    assert.deepEqual(await ledger.find(plain.id), plain)
    assert.deepEqual(await ledger.find(full.id), full)
    assert.equal(await ledger.find('unknown'), undefined)
  })

  test('the request is kept byte by byte until the job ends', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    const request = Buffer.from([0x7b, 0, 0xff, 0xfe, 0x7d])
    await ledger.insert([{ record, request }, { record: aJob({ id: 'without' }) }])
    assert.deepEqual(await ledger.request(record.id), request)
    assert.equal(await ledger.request('without'), undefined)
    assert.equal(await ledger.request('unknown'), undefined)
    await ledger.finish(record.id, anEnd())
    assert.equal(await ledger.request(record.id), undefined)
  })

  test('a request handed in as a piece of a shared buffer is kept alone', async (t) => {
    const ledger = await open(t)
    const body = Buffer.from('[{"a":1},{"b":2}]')
    const record = aJob()
    await ledger.insert([{ record, request: body.subarray(9, 16) }])
    body.fill(0)
    assert.equal(String(await ledger.request(record.id)), '{"b":2}')
  })

  test('an id that is taken is refused, and nothing that came with it is recorded', async (t) => {
    const ledger = await open(t)
    const first = aJob({ caller: 'a' })
    await ledger.insert([{ record: first, request: Buffer.from('1') }])
    const batch = [{ record: aJob({ id: 'new', caller: 'b' }) }, { record: { ...first, caller: 'b' } }]
    await assert.rejects(ledger.insert(batch, anAnswer({ caller: 'b' })), { code: 'ERR_DUPLICATE' })
    assert.equal(await ledger.find('new'), undefined)
    assert.equal(await ledger.idempotencyRecord('b', '/api/jobs', 'once'), undefined)
    assert.equal((await ledger.find(first.id))?.caller, 'a')
    assert.equal(ledger.health().jobs, 1)
    assert.equal(ledger.health().writable, true)
  })

  test('one id twice in one batch is refused', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    await assert.rejects(ledger.insert([{ record }, { record }]), { code: 'ERR_DUPLICATE' })
    assert.equal(await ledger.find(record.id), undefined)
  })

  test('another run replaces where the job is, and keeps its id and request', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    await ledger.insert([{ record, request: Buffer.from('again') }])
    const run = { node: 'http://n2', nodeJobId: 'other', localAddress: '::1', runs: 2, runStartedAt: Date.now() + 5 }
    assert.equal(await ledger.startRun(record.id, run, 1), true)
    assert.deepEqual(await ledger.find(record.id), { ...record, ...run })
    assert.equal(String(await ledger.request(record.id)), 'again')
  })

  test('a run is taken only by a job that is in the run before it, and of two at once the first', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    await ledger.insert([{ record }])
    const aRun = (node: string, runs: number): JobRun => ({ ...runOf(record), node, nodeJobId: node, runs })
    assert.deepEqual(
      await Promise.all([
        ledger.startRun(record.id, aRun('first', 2), 1),
        ledger.startRun(record.id, aRun('second', 2), 1),
        ledger.startRun(record.id, aRun('third', 3), 2),
        ledger.startRun('unknown', aRun('fourth', 2), 1),
      ]),
      [true, false, true, false],
    )
    assert.equal(await ledger.startRun(record.id, aRun('late', 2), 1), false)
    assert.deepEqual(await ledger.find(record.id), { ...record, ...aRun('third', 3) })
  })

  test('a stream left by its client is marked', async (t) => {
    const ledger = await open(t)
    const record = aJob({ kind: 'stream' })
    await ledger.insert([{ record }])
    await ledger.markLeft(record.id)
    assert.deepEqual(await ledger.find(record.id), { ...record, clientGone: true })
  })

  test('unfinished are all jobs without a final state, whosever they are', async (t) => {
    const ledger = await open(t)
    const records = Array.from({ length: 2500 }, (_, index) => aJob({ caller: `caller ${index % 7}` }))
    await ledger.insert(records.map((record) => ({ record })))
    await ledger.finish(records[3]!.id, anEnd())
    const expected = records.filter((_, index) => index !== 3)
    const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)
    assert.deepEqual((await unfinishedIn(ledger)).sort(byId), expected.sort(byId))
  })

  test('numbers of a worker grow by one from 1, each given once', async (t) => {
    const ledger = await open(t)
    const numbers = await Promise.all(Array.from({ length: 50 }, () => ledger.nextReqnum('http://a')))
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, index) => index + 1),
    )
    assert.equal(await ledger.nextReqnum('http://b'), 1)
    assert.equal(await ledger.nextReqnum('http://a'), 51)
  })

  test('after closing everything is refused', async (t) => {
    const ledger = await open(t)
    await ledger.close()
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    await assert.rejects(ledger.finish('a', anEnd()), { code: 'ERR_LEDGER' })
    await assert.rejects(ledger.find('a'), { code: 'ERR_LEDGER' })
    await assert.rejects(ledger.values.get('a'), { code: 'ERR_LEDGER' })
    assert.equal(await ledger.probe(), false)
  })
}

function runOf({ node, nodeJobId, localAddress, runs, runStartedAt }: JobRecord): JobRun {
  return { node, nodeJobId, localAddress, runs, runStartedAt }
}

function jobsEnd(open: Open): void {
  test('a result comes back byte by byte, with its intermediate results where they are wanted', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    const result = Buffer.from('{"output": NaN, "r": 115792089237316195423570985008687907853269984665640564039457}')
    const intermediate = Buffer.from('[{"output" : Infinity}]')
    await ledger.insert([{ record }])
    assert.equal(await ledger.finish(record.id, anEnd({ result, intermediate })), true)
    const { id, node } = record
    assert.deepEqual(await ledger.read(record.caller, [id]), [{ id, state: 'success', node, result, intermediate }])
    assert.deepEqual(await ledger.read(record.caller, [id], { withIntermediate: false }), [
      { id, state: 'success', node, result },
    ])
  })

  test('a result of many megabytes comes back whole', async (t) => {
    const ledger = await open(t)
    const [id] = await finishedJobs(ledger, 1, { result: Buffer.alloc(20e6, 'x') })
    const [job] = await ledger.read('10.0.0.1', [id!])
    assert.ok((await wholeOf(job?.result)).equals(Buffer.alloc(20e6, 'x')))
  })

  test('the first final state stands', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    await ledger.insert([{ record }])
    const finishedAt = Date.now()
    const ends = [
      ledger.finish(record.id, anEnd({ state: 'failed', finishedAt, result: Buffer.from('"first"') })),
      ledger.finish(record.id, anEnd({ result: Buffer.from('"second"') })),
    ]
    assert.deepEqual(await Promise.all(ends), [true, false])
    assert.equal(await ledger.finish(record.id, anEnd()), false)
    assert.equal(await ledger.startRun(record.id, { ...record, node: 'elsewhere', runs: 2 }, 1), false)
    assert.deepEqual(await ledger.find(record.id), { ...record, state: 'failed', finishedAt })
    const [job] = await ledger.read(record.caller, [record.id])
    assert.equal(String(await wholeOf(job?.result)), '"first"')
  })

  test('a job that is not known cannot end', async (t) => {
    const ledger = await open(t)
    assert.equal(await ledger.finish('unknown', anEnd()), false)
    await ledger.markLeft('unknown')
    assert.equal(ledger.health().jobs, 0)
  })
}

function longResultsAreReceived(open: Open): void {
  const pieces = ['a', 'b', 'c'].map((letter) => Buffer.alloc(PIECE_BYTES, letter))
  const result = Buffer.concat(pieces)
  const intermediate = Buffer.from('[{"output" : Infinity}]')

  test('a result that arrives in pieces is seen when its job has ended with it, byte by byte', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    const { id, node } = record
    await ledger.insert([{ record, request: Buffer.alloc(1000) }])
    const received = await ledger.receive(record.caller)
    await received.add('intermediate', intermediate)
    for (const piece of pieces) await received.add('result', piece)
    assert.deepEqual(await ledger.read(record.caller, [id]), [{ id, state: 'running', node }])
    const finishedAt = Date.now()
    assert.equal(await received.finish(id, { state: 'success', finishedAt }), true)
    received.drop()
    const [job] = await ledger.read(record.caller, [id])
    assert.equal(job?.state, 'success')
    assert.ok((await wholeOf(job.result)).equals(result))
    assert.deepEqual(await wholeOf(job.intermediate), intermediate)
    const [brief] = await ledger.read(record.caller, [id], { withIntermediate: false })
    assert.deepEqual([brief?.result?.length, brief?.intermediate], [result.length, undefined])
    assert.deepEqual(await ledger.find(id), { ...record, state: 'success', finishedAt })
    assert.equal(await ledger.request(id), undefined)
  })

  test('a received result without intermediate ones has none', async (t) => {
    const ledger = await open(t)
    const record = aJob()
    await ledger.insert([{ record }])
    const received = await ledger.receive(record.caller)
    await received.add('result', intermediate)
    await received.finish(record.id, { state: 'failed', finishedAt: Date.now() })
    const [job] = await ledger.read(record.caller, [record.id])
    assert.deepEqual([job?.state, job?.intermediate], ['failed', undefined])
    assert.deepEqual(await wholeOf(job?.result), intermediate)
  })

  test('pieces count while they arrive, and no more when they are dropped or come too late', async (t) => {
    const ledger = await open(t)
    const [id] = await finishedJobs(ledger, 1)
    const before = ledger.health().keptBytes
    const [dropped, late] = [await ledger.receive('10.0.0.1'), await ledger.receive('10.0.0.1')]
    for (const piece of pieces) await Promise.all([dropped.add('result', piece), late.add('result', piece)])
    assert.equal(ledger.health().keptBytes, before + 2 * result.length)
    dropped.drop()
    assert.equal(await late.finish(id!, { state: 'failed', finishedAt: Date.now() }), false)
    assert.equal(await late.finish('unknown', { state: 'failed', finishedAt: Date.now() }), false)
    await eventually(() => ledger.health().keptBytes === before)
    const [job] = await ledger.read('10.0.0.1', [id!])
    assert.deepEqual([job?.state, String(await wholeOf(job?.result))], ['success', '{"output": 1}'])
  })

  test('what is in memory for one read is bounded; the rest is read piece by piece', async (t) => {
    const ledger = await open(t)
    const ids = await finishedJobs(ledger, 10, { result: Buffer.alloc(300, 'r'), intermediate: Buffer.alloc(200, 'i') })
    const jobs = await ledger.read('10.0.0.1', ids, { inlineBytes: 2000 })
    const parts = jobs.flatMap((job) => [job.result!, job.intermediate!])
    const inMemory = parts.filter((bytes) => !(bytes instanceof LongBytes))
    const bytes = inMemory.reduce((sum, { length }) => sum + length, 0)
    assert.ok(bytes >= 1000 && bytes <= 2000, `${bytes} bytes`)
    for (const job of jobs) {
      assert.deepEqual(await wholeOf(job.result), Buffer.alloc(300, 'r'))
      assert.deepEqual(await wholeOf(job.intermediate), Buffer.alloc(200, 'i'))
    }
  })

  test('a result that is removed while it is read rejects at the next piece', async (t) => {
    const ledger = await open(t, { maxBytes: 2 * result.length })
    const [id] = await finishedJobs(ledger, 1, { result, finishedAt: Date.now() - 1000 })
    const [job] = await ledger.read('10.0.0.1', [id!])
    assert.ok(job?.result instanceof LongBytes)
    const reading = job.result.pieces()
    assert.ok((await reading.next()).value?.equals(pieces[0]!))
    await finishedJobs(ledger, 1, { result })
    await eventually(async () => (await ledger.find(id!)) === undefined)
    await assert.rejects(reading.next(), { code: 'ERR_LEDGER' })
    await eventually(() => ledger.health().keptBytes < 2 * result.length)
    assert.equal(ledger.health().jobs, 1)
  })

  test('nothing is kept of long results whose time is over', async (t) => {
    const ledger = await open(t, { ttlSeconds: 2 })
    await finishedJobs(ledger, 1, { result, intermediate: result })
    await eventually(() => ledger.health().jobs === 0 && ledger.health().keptBytes === 0, { withinMs: 15_000 })
  })
}

function callersSeeTheirOwn(open: Open): void {
  test('a caller reads only its own jobs', async (t) => {
    const ledger = await open(t)
    const mine = aJob({ caller: 'me' })
    const theirs = aJob({ caller: 'them' })
    await ledger.insert([{ record: mine }, { record: theirs }])
    const read = await ledger.read('me', [theirs.id, mine.id, 'unknown'])
    assert.deepEqual(read, [{ id: mine.id, state: 'running', node: mine.node }])
    assert.deepEqual(await ledger.read('me', [theirs.id], { withIntermediate: false }), [])
    assert.deepEqual(await ledger.list('me', 'all'), [mine.id])
    assert.deepEqual(await ledger.list('nobody', 'all'), [])
  })

  test("lists of a caller's jobs are complete, oldest first, by state", async (t) => {
    const ledger = await open(t)
    const records = Array.from({ length: 2200 }, () => aJob({ caller: 'me' }))
    await ledger.insert([{ record: aJob({ caller: 'them' }) }, ...records.map((record) => ({ record }))])
    const isEven = (_: unknown, index: number): boolean => index % 2 === 0
    for (const record of records.filter(isEven).reverse()) void ledger.finish(record.id, anEnd())
    const ids = records.map((record) => record.id)
    assert.deepEqual(await ledger.list('me', 'all'), ids)
    assert.deepEqual(await ledger.list('me', 'finished'), ids.filter(isEven))
    assert.deepEqual(
      await ledger.list('me', 'pending'),
      ids.filter((id, index) => !isEven(id, index)),
    )
  })
}

function answersAreKept(open: Open): void {
  test('the first answer under a key is given again for a day', async (t) => {
    const ledger = await open(t)
    const first = anAnswer({ node: 'http://n1', body: Buffer.from([0xff, 0, 1]), createdAt: Date.now() - 23 * HOUR_MS })
    await ledger.insert([{ record: aJob() }], first)
    await ledger.insert([], anAnswer({ body: Buffer.from('later') }))
    assert.deepEqual(await ledger.idempotencyRecord(first.caller, first.path, first.key), first)
    assert.equal(await ledger.idempotencyRecord(first.caller, '/api/jobs/batch', first.key), undefined)
    assert.equal(await ledger.idempotencyRecord('another', first.path, first.key), undefined)
  })

  test('an answer older than a day is replaced', async (t) => {
    const ledger = await open(t)
    await ledger.insert([], anAnswer({ createdAt: Date.now() - DAY_MS - 1 }))
    assert.equal(await ledger.idempotencyRecord('10.0.0.1', '/api/jobs', 'once'), undefined)
    const next = anAnswer({ body: Buffer.from('next') })
    await ledger.insert([], next)
    assert.deepEqual(await ledger.idempotencyRecord(next.caller, next.path, next.key), next)
  })
}

function valuesAreKept(open: Open): void {
  test('a value is kept byte by byte under its name until it is deleted', async (t) => {
    const { values } = await open(t)
    const bytes = Buffer.from([0, 0xff, 0x7b])
    assert.equal(await values.get('one'), undefined)
    await values.set('one', 'first')
    await values.set('one', bytes)
    await values.set('ä', '')
    assert.deepEqual([await values.get('one'), await values.get('ä')], [bytes, Buffer.alloc(0)])
    assert.deepEqual((await values.names()).sort(), ['one', 'ä'])
    await values.delete('one')
    await values.delete('unknown')
    assert.deepEqual([await values.get('one'), await values.names()], [undefined, ['ä']])
  })

  test('a value is replaced only where it is still the expected one', async (t) => {
    const { values } = await open(t)
    const [one, two] = [Buffer.from('1'), Buffer.from('2')]
    assert.equal(await values.replace('n', one, 'x'), false)
    assert.equal(await values.replace('n', undefined, one), true)
    assert.equal(await values.replace('n', undefined, 'x'), false)
    assert.equal(await values.replace('n', two, 'x'), false)
    const both = await Promise.all([values.replace('n', one, two), values.replace('n', one, 'x')])
    assert.deepEqual(both, [true, false])
    assert.deepEqual(await values.get('n'), two)
  })

  test('a value that is too long is refused, and what stands stays', async (t) => {
    const { values } = await open(t)
    const longest = Buffer.alloc(256 * 1024, 7)
    await values.set('n', longest)
    const tooLong = Buffer.alloc(longest.length + 1)
    await assert.rejects(values.set('n', tooLong), RangeError)
    await assert.rejects(values.replace('n', longest, tooLong), RangeError)
    assert.deepEqual(await values.get('n'), longest)
  })
}

function whatIsKeptIsBounded(open: Open): void {
  test('a finished job is unknown once its time is over, and then removed', async (t) => {
    const ledger = await open(t, { ttlSeconds: 60 })
    const [old] = await finishedJobs(ledger, 1, { finishedAt: Date.now() - 60_001 })
    const [young] = await finishedJobs(ledger, 1, { finishedAt: Date.now() - 30_000 })
    await ledger.insert([{ record: aJob({ id: 'running', createdAt: Date.now() - DAY_MS }) }])
    assert.equal(await ledger.find(old!), undefined)
    assert.deepEqual(await ledger.list('10.0.0.1', 'all'), [young, 'running'])
    assert.deepEqual(await ledger.list('10.0.0.1', 'finished'), [young])
    assert.deepEqual(await ledger.read('10.0.0.1', [old!]), [])
    await eventually(() => ledger.health().jobs === 2)
  })

  test('a kept answer is removed after a day', async (t) => {
    const ledger = await open(t)
    await ledger.insert([], anAnswer({ createdAt: Date.now() - DAY_MS - 1 }))
    await eventually(() => ledger.health().keptBytes === 0)
  })

  test('over the cap the oldest finished jobs go first', async (t) => {
    const ledger = await open(t, { maxBytes: 100_000 })
    const ids: string[] = []
    for (let index = 0; index < 30; index++) {
      const [id] = await finishedJobs(ledger, 1, {
        result: Buffer.alloc(10_000),
        finishedAt: Date.now() - 1000 + index,
      })
      ids.push(id!)
    }
    await eventually(() => ledger.health().keptBytes <= 100_000)
    const left = await ledger.list('10.0.0.1', 'all')
    assert.ok(left.length >= 8, `${left.length} are left`)
    assert.deepEqual(left, ids.slice(-left.length))
  })

  test('over the cap unfinished jobs stay, and new ones are taken', async (t) => {
    const ledger = await open(t, { maxBytes: 50_000 })
    const records = Array.from({ length: 20 }, () => aJob())
    const [finished] = await finishedJobs(ledger, 1)
    await ledger.insert([], anAnswer())
    for (const record of records) await ledger.insert([{ record, request: Buffer.alloc(10_000, record.id) }])
    await eventually(async () => (await ledger.find(finished!)) === undefined)
    await eventually(async () => (await ledger.idempotencyRecord('10.0.0.1', '/api/jobs', 'once')) === undefined)
    for (const { id } of records) assert.deepEqual(await ledger.request(id), Buffer.alloc(10_000, id))
    assert.ok(ledger.health().keptBytes >= 200_000)
  })

  test('the containers of a job count, running or finished, until it is removed', async (t) => {
    const ledger = await open(t, { maxBytes: 100_000 })
    const containers = Array.from({ length: 1000 }, () => 'ünser')
    const bytes = Buffer.byteLength(JSON.stringify(containers))
    const records = Array.from({ length: 100 }, () => aJob({ containers }))
    await ledger.insert(records.map((record) => ({ record })))
    assert.ok(ledger.health().keptBytes >= 100 * bytes, `${ledger.health().keptBytes} bytes`)
    for (const { id } of records) await ledger.finish(id, anEnd())
    await eventually(() => ledger.health().keptBytes <= 100_000)
    const { jobs } = ledger.health()
    assert.ok(jobs > 0 && jobs * bytes <= 100_000, `${jobs} jobs are left`)
  })

  test('kept bytes return to nothing when all is gone', async (t) => {
    const ledger = await open(t, { ttlSeconds: 3 })
    const record = aJob()
    await ledger.insert([{ record, request: Buffer.alloc(1000) }], anAnswer({ createdAt: Date.now() - DAY_MS + 2500 }))
    assert.ok(ledger.health().keptBytes > 1000)
    const end = { result: Buffer.alloc(3000), intermediate: Buffer.alloc(500), finishedAt: Date.now() - 500 }
    await ledger.finish(record.id, anEnd(end))
    await finishedJobs(ledger, 300, { finishedAt: Date.now() - 500 })
    assert.ok(ledger.health().keptBytes > 3500)
    await eventually(() => ledger.health().jobs === 0 && ledger.health().keptBytes === 0, { withinMs: 15_000 })
  })
}

function operatorsSeeAll(open: Open): void {
  /** Pages until the end, or until there are as many as wanted. */
  async function browsed(ledger: Ledger, query: Partial<JobsQuery> = {}, limit = 3): Promise<JobRecord[]> {
    const found: JobRecord[] = []
    for (let after: string | undefined; ;) {
      const { jobs, next } = await ledger.browse({ limit, after, ...query })
      found.push(...jobs)
      if (next === undefined) return found
      after = next
    }
  }
  const idsOf = (jobs: readonly JobRecord[]): string[] => jobs.map(({ id }) => id)

  test('jobs of all callers are found in pages by state, caller, node and container, each once, those of a caller newest first', async (t) => {
    const ledger = await open(t)
    const records = Array.from({ length: 10 }, (_, n) =>
      aJob({
        id: `job-${n}`,
        caller: n < 6 ? '10.0.0.1' : 'name:a',
        node: n % 2 === 0 ? 'http://a' : 'http://b',
        containers: n === 4 ? ['first', 'say "it"'] : ['echo'],
      }),
    )
    for (const record of records) await ledger.insert([{ record }])
    for (const n of [0, 1, 8]) await ledger.finish(`job-${n}`, anEnd({ state: n === 8 ? 'failed' : 'success' }))
    const sorted = async (query: Partial<JobsQuery>): Promise<string[]> => idsOf(await browsed(ledger, query)).sort()
    const jobs = (...numbers: number[]): string[] => numbers.map((n) => `job-${n}`)
    assert.deepEqual(await sorted({}), jobs(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert.deepEqual(await sorted({ state: 'running' }), jobs(2, 3, 4, 5, 6, 7, 9))
    assert.deepEqual(await sorted({ state: 'success' }), jobs(0, 1))
    assert.deepEqual(await sorted({ state: 'failed', node: 'http://a' }), jobs(8))
    assert.deepEqual(await sorted({ node: 'http://b', caller: 'name:a' }), jobs(7, 9))
    assert.deepEqual(await sorted({ container: 'say "it"' }), jobs(4))
    assert.deepEqual(await sorted({ container: 'say' }), [])
    assert.deepEqual(idsOf(await browsed(ledger, { caller: '10.0.0.1' })), jobs(5, 4, 3, 2, 1, 0))
    assert.deepEqual(await browsed(ledger, { state: 'failed' }), [await ledger.find('job-8')])
    // A cursor of another store leads nowhere, perhaps to the beginning, and to no error.
    for (const after of ['x', '0', 'f:x:0', 'f:1:x', 'u:x:y', '1e999'])
      for (const caller of [undefined, '10.0.0.1']) await ledger.browse({ limit: 3, after, caller })
  })

  test('a question looks at a bounded number of jobs, and says where the next one goes on', async (t) => {
    const ledger = await open(t)
    const records = Array.from({ length: 2 * LOOKED_AT + 100 }, (_, n) =>
      aJob({ containers: [n === 0 ? 'oldest' : 'echo'] }),
    )
    await ledger.insert(records.map((record) => ({ record })))
    const query = { container: 'oldest', caller: records[0]!.caller, limit: 10 }
    const first = await ledger.browse(query)
    assert.deepEqual(first.jobs, [])
    assert.notEqual(first.next, undefined)
    assert.deepEqual(idsOf(await browsed(ledger, query)), [records[0]!.id])
    assert.equal(new Set(idsOf(await browsed(ledger, {}, 200))).size, records.length)
  })
}
