import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FAULTS } from '../src/faults.ts'

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

test('the README lists every fault with its status, code and text', () => {
  const rows = read('README.md')
    .split('\n')
    .filter((line) => line.includes('`ERR_'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
  const told = Object.fromEntries(
    rows.map(([, status, clientCode, code = '', text]) => [code.replaceAll('`', ''), { status, clientCode, text }]),
  )
  const wanted = Object.entries(FAULTS).map(([code, { status, clientCode, message }]) => [
    code,
    { status: `${status}`, clientCode: `\`${clientCode}\``, text: message },
  ])
  assert.deepEqual(told, Object.fromEntries(wanted))
})

test('every script that the README names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = [...read('README.md').matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name)
  assert.deepEqual(
    named.filter((name) => !(name in scripts)),
    [],
  )
})
