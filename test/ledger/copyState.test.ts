/** Moving a ledger to another store: everything that clients and nodes rely on is the same there. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { copyState } from '../../src/ledger/copyState/index.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { tempDir } from '../kit/wait.ts'
import { CALLERS, contentsOf, fill, FILLED } from './fullLedger.ts'
import { LogLines, sqliteAt } from './ledgerKit.ts'

const copy = (from: string, to: string) =>
  copyState({ from: `sqlite:${from}`, to: `sqlite:${to}`, replicaTimeoutSeconds: 1, logger: new LogLines() })

suite('a copy of a ledger', () => {
  test('has the same jobs, requests, results, answers, numbers and key, also after the way back', async (t) => {
    const folder = await tempDir(t)
    const at = (name: string): string => join(folder, name, 'gateway.db')
    const source = await sqliteAt(t, at('one'))
    await fill(source)
    const before = await contentsOf(source)
    await source.close()
    await writeFile(join(folder, 'one', 'ticket-key.pem'), 'a private key')
    const expected = { ...FILLED, hasTicketKey: true }
    assert.deepEqual(await copy(at('one'), at('two')), expected)
    assert.deepEqual(await copy(at('two'), at('three')), expected)
    const copied = await sqliteAt(t, at('three'))
    assert.deepEqual(await contentsOf(copied), before)
    for (const index of CALLERS.keys()) {
      assert.equal(await copied.nextReqnum(`http://10.1.0.${index}:4000`), index + 2)
    }
    const key = join(folder, 'three', 'ticket-key.pem')
    assert.equal(await readFile(key, 'utf8'), 'a private key')
    for (const file of [key, at('three')]) assert.equal((await stat(file)).mode & 0o777, 0o600)
  })

  test('holds what has expired or is too much as well: the gateway removes that, by its own settings', async (t) => {
    const folder = await tempDir(t)
    const [from, to] = [join(folder, 'from.db'), join(folder, 'to.db')]
    const source = await sqliteAt(t, from)
    const { record } = { record: aJob() }
    await source.insert([{ record }])
    await source.finish(record.id, anEnd({ finishedAt: Date.now() - 20 * 24 * 3_600_000 }))
    await source.close()
    assert.equal((await copy(from, to)).jobs, 1)
    const patient = await sqliteAt(t, to, { ttlMs: 30 * 24 * 3_600_000 })
    assert.deepEqual(await patient.list('10.0.0.1', 'all'), [record.id])
  })

  test('is refused where there is nothing, something, another key, or a gateway', async (t) => {
    const folder = await tempDir(t)
    const at = (name: string): string => join(folder, name)
    const refused = (from: string, to: string, why: RegExp): Promise<void> =>
      assert.rejects(copy(at(from), at(to)), (error: Error) => {
        assert.match(error.message, why)
        assert.ok(!error.message.includes('\n'))
        return true
      })
    await refused('none.db', 'to.db', /none\.db does not exist: there is nothing to copy/)
    assert.deepEqual(await readdir(folder), [])
    const source = await sqliteAt(t, at('from.db'))
    await refused('from.db', 'to.db', /from\.db is in use by another gateway/)
    await source.close()
    await refused('from.db', 'from.db', /from\.db exists already: move it away/)
    await writeFile(at('to.db-wal'), '')
    await refused('from.db', 'to.db', /to\.db-wal exists already/)
    await writeFile(at('ticket-key.pem'), 'a key')
    const elsewhere = join(await tempDir(t), 'to.db')
    await writeFile(join(dirname(elsewhere), 'ticket-key.pem'), 'another key')
    await assert.rejects(copy(at('from.db'), elsewhere), /ticket-key\.pem holds another ticket key: move it away/)
    assert.deepEqual(await readdir(dirname(elsewhere)), ['ticket-key.pem'])
    for (const url of ['memory:', 'nonsense']) {
      await assert.rejects(
        copyState({ from: url, to: `sqlite:${at('to2.db')}`, replicaTimeoutSeconds: 1, logger: new LogLines() }),
      )
    }
    assert.ok(!existsSync(at('to2.db')))
  })

  test('that did not end is no ledger, and is refused until it is removed', async (t) => {
    const folder = await tempDir(t)
    const [from, to] = [join(folder, 'from.db'), join(folder, 'to.db')]
    await (await sqliteAt(t, from)).close()
    // As a kill in the middle leaves it.
    await copyFile(from, `${to}.incomplete`)
    await assert.rejects(
      copy(from, to),
      /to\.db\.incomplete is left of a copy that did not end: remove it and copy again/,
    )
    assert.ok(!existsSync(to))
  })
})
