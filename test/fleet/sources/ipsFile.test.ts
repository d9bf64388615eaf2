import assert from 'node:assert/strict'
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { IpsFile } from '../../../src/fleet/sources/ipsFile.ts'
import { eventually, tempDir } from '../../kit/wait.ts'
import { keepLines } from './logLines.ts'
import type { KeptLine } from './logLines.ts'

interface Watched {
  path: string
  /** Names and concurrencies of each list that was delivered. */
  lists: string[][]
  lines: KeptLine[]
  /** Waits for a list; the first is number 0. */
  list: (number: number) => Promise<string[]>
}

/** A file of addresses that is watched until the end of the test; `undefined` is no file. */
async function watched(t: TestContext, content: string | undefined): Promise<Watched> {
  const path = join(await tempDir(t), 'ips.txt')
  if (content !== undefined) await writeFile(path, content)
  const { logger, lines } = keepLines()
  const lists: string[][] = []
  const file = new IpsFile(path, logger)
  t.after(() => file.stop())
  await file.start((specs) => {
    lists.push(specs.map(({ name, concurrency }) => (concurrency ? `${name} x${concurrency}` : name)))
  })
  const list = (number: number): Promise<string[]> =>
    eventually(() => lists[number], { withinMs: 10_000, what: `list ${number}` })
  return { path, lists, lines, list }
}

describe('the addresses file', () => {
  test('holds one address a line, with comments, blank lines and any line ends', async (t) => {
    const { lists, lines } = await watched(
      t,
      '\uFEFF# nodes\r\n10.0.0.1:4000\r\n\r\n  [::1]:4000  # ours\nhttps://node.example/base/ concurrency=4\n#10.0.0.9:4000\nlast.example',
    )
    assert.deepEqual(lists, [['10.0.0.1:4000', '[::1]:4000', 'https://node.example/base/ x4', 'last.example']])
    assert.deepEqual(
      lines.filter(({ level }) => level === 'warn'),
      [],
    )
  })

  test('a bad line is skipped, and the log tells its number, its text and what is wrong', async (t) => {
    const { lists, lines } = await watched(t, '10.0.0.1:4000\n\nftp://10.0.0.2\n10.0.0.3:4000 concurrency=0\n10.0.0.4')
    assert.deepEqual(lists, [['10.0.0.1:4000', '10.0.0.4']])
    const warnings = lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields)
    assert.deepEqual(
      warnings.map(({ line, text }) => [line, text]),
      [
        [3, 'ftp://10.0.0.2'],
        [4, '10.0.0.3:4000 concurrency=0'],
      ],
    )
    assert.match(String(warnings[1]?.['reason']), /concurrency/)
  })

  test('may have many bad lines: the log names the first hundred, and how many more there are', async (t) => {
    const { lists, lines } = await watched(t, `10.0.0.1:4000\n${'bad:line:\n'.repeat(3000)}10.0.0.2:4000`)
    assert.deepEqual(lists, [['10.0.0.1:4000', '10.0.0.2:4000']])
    const warnings = lines.filter(({ level }) => level === 'warn')
    assert.equal(warnings.length, 101)
    assert.equal(warnings.at(-1)?.fields['lines'], 2900)
  })

  test('that is missing is an empty one, with a warning', async (t) => {
    const { lists, lines } = await watched(t, undefined)
    assert.deepEqual(lists, [[]])
    assert.ok(lines.some(({ level, message }) => level === 'warn' && message.includes('missing')))
  })

  test('that cannot be read keeps the last list, with a warning', async (t) => {
    const { path, lists, lines } = await watched(t, '10.0.0.1:4000')
    await rm(path)
    await mkdir(path)
    await eventually(() => lines.some(({ level }) => level === 'warn'))
    assert.deepEqual(lists, [['10.0.0.1:4000']])
  })
})

describe('a change of the addresses file is noticed', { concurrency: true }, () => {
  test('when it is written in place', async (t) => {
    const { path, list } = await watched(t, '10.0.0.1:4000')
    await writeFile(path, '10.0.0.1:4000\n10.0.0.2:4000\n')
    assert.deepEqual(await list(1), ['10.0.0.1:4000', '10.0.0.2:4000'])
  })

  test('when an editor puts another file in its place, time after time', async (t) => {
    const { path, list } = await watched(t, '10.0.0.1:4000')
    for (const n of [1, 2, 3]) {
      await writeFile(`${path}.new`, `10.0.0.${n + 1}:4000`)
      await rename(`${path}.new`, path)
      assert.deepEqual(await list(n), [`10.0.0.${n + 1}:4000`])
    }
  })

  test('when it goes, and when it comes', async (t) => {
    const { path, list, lines } = await watched(t, '10.0.0.1:4000')
    await rm(path)
    assert.deepEqual(await list(1), [])
    assert.ok(lines.some(({ level, message }) => level === 'warn' && message.includes('missing')))
    await writeFile(path, '10.0.0.2:4000')
    assert.deepEqual(await list(2), ['10.0.0.2:4000'])
  })

  test('right after the start', async (t) => {
    const { path, list } = await watched(t, '10.0.0.1:4000')
    await writeFile(path, '10.0.0.2:4000')
    assert.deepEqual(await list(1), ['10.0.0.2:4000'])
  })

  test('only once it is whole: a half-written file is no list', async (t) => {
    const { path, lists, list } = await watched(t, '10.0.0.1:4000')
    // For longer than the file's state goes unseen, it is empty or half there.
    const file = await open(path, 'w')
    let longestGapMs = 0
    let writtenAt = performance.now()
    for (let n = 1; n <= 100; n++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      await file.write(`10.0.0.${n}:4000\n`)
      longestGapMs = Math.max(longestGapMs, performance.now() - writtenAt)
      writtenAt = performance.now()
    }
    await file.close()
    if (longestGapMs > 80) return t.skip('this machine stood still while the file was written')
    assert.equal((await list(1)).length, 100)
    assert.equal(lists.length, 2)
  })

  test('and is none where only the time of writing changed', async (t) => {
    const { path, lists, list } = await watched(t, '10.0.0.1:4000')
    await writeFile(path, '10.0.0.1:4000')
    await new Promise((resolve) => setTimeout(resolve, 700))
    assert.equal(lists.length, 1)
    await writeFile(path, '10.0.0.2:4000')
    await list(1)
  })
})
