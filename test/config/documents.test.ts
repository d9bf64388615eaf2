import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import dotenv from 'dotenv'
import prettier from 'prettier'
import { schema, variables } from '../../src/config/schema.ts'
import { loadSettings, settingsTable } from '../../src/config/settings.ts'
import { emptyFolder } from './processes.ts'

const readProjectFile = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8')

/** The cells of a Markdown table, row by row; padding does not count. */
const cells = (table: string) =>
  table
    .trim()
    .split('\n')
    .map((row) => row.split('|').map((cell) => cell.trim().replace(/^-+$/, '-')))

/** What stands between the markers of `config/README.md`. */
function settingsSection(page: string): string {
  const section = /<!-- settings:start -->\n([\s\S]*?)<!-- settings:end -->/.exec(page)?.[1]
  assert.ok(
    section,
    'config/README.md has no <!-- settings:start --> … <!-- settings:end -->; paste `npm start -- --settings`',
  )
  return section
}

test('config/README.md lists every setting with its default', async () => {
  const documented = cells(settingsSection(await readProjectFile('config/README.md')))
  assert.deepEqual(documented, cells(settingsTable()), 'paste `npm start -- --settings` between the markers')
})

test('the table of settings is Markdown as the formatter writes it, so that it can be pasted', async () => {
  const options = { ...(JSON.parse(await readProjectFile('.prettierrc.json')) as object), parser: 'markdown' }
  assert.equal(await prettier.format(settingsTable(), options), `${settingsTable()}\n`)
})

test('every setting has one documentation line and a row in the table', () => {
  const rows = cells(settingsTable()).slice(2)
  assert.deepEqual(
    rows.map((row) => row[1]),
    variables.map((variable) => `\`${variable}\``),
  )
  for (const variable of variables) assert.match(schema[variable].doc, /^[^\n|]{10,130}[^.]$/)
})

describe('.env.example', () => {
  test('sets nothing as it comes, and has every setting commented out', async () => {
    const text = await readProjectFile('.env.example')
    assert.deepEqual(dotenv.parse(text), {})
    const named = [...text.matchAll(/^# ?([A-Z_]+)=/gm)].map((match) => match[1])
    assert.deepEqual(named, [...variables, 'CONFIG_FILE', 'NODE_ENV'])
  })

  test('shows the defaults: uncommented it changes nothing', async (t) => {
    const folder = await emptyFolder(t)
    const sources = { environment: {}, workingDirectory: folder, packageRoot: folder, isTerminal: false }
    const uncommented = (await readProjectFile('.env.example')).replace(/^# ?(?=[A-Z_]+=)/gm, '')
    assert.deepEqual(loadSettings({ ...sources, environment: dotenv.parse(uncommented) }), loadSettings(sources))
  })
})

test('config/production.json holds settings only', async () => {
  const packageRoot = new URL('../../', import.meta.url).pathname
  const sources = { workingDirectory: packageRoot, packageRoot, isTerminal: true }
  assert.equal(loadSettings({ ...sources, environment: { NODE_ENV: 'production' } }).logFormat, 'json')
})
