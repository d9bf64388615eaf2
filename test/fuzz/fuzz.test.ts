import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const FUZZ = fileURLToPath(new URL('fuzz.ts', import.meta.url))

test('a short fuzz run breaks nothing: one answer a request, JSON errors, no 500, and all comes to rest', () => {
  const args = [FUZZ, '--seed', '7', '--cases', '2000', '--rounds', '1', '--parallel', '16']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 240_000 })
  assert.equal(status, 0, stdout + stderr)
})

test('arguments that are not understood are answered with the usage', () => {
  const { status, stderr } = spawnSync(process.execPath, [FUZZ, '--seed', 'x'], { encoding: 'utf8' })
  assert.equal(status, 2)
  assert.match(stderr, /^npm run fuzz -- /)
})
