import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FAULTS } from '../src/faults.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (name: string): string => readFileSync(path.join(root, name), 'utf8')

const SKIPPED = new Set(['node_modules', 'dist', 'data', 'coverage', '.git'])

/** Every Markdown file of the project, as a path from its top folder. */
function documentsIn(folder = ''): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return []
    const name = path.posix.join(folder, entry.name)
    if (entry.isDirectory()) return documentsIn(name)
    return name.endsWith('.md') ? [name] : []
  })
}

const documents = documentsIn()
const pages = documents.filter((name) => path.basename(name) === 'README.md')

const withoutCode = (text: string): string => text.replace(/^ *```[\s\S]*?^ *```$/gm, '')

const headings = (text: string): string[] =>
  [...withoutCode(text).matchAll(/^#{2,6} (.*)$/gm)].map(([, heading = '']) => heading)

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')

/** What is wrong with the relative links of a document. */
function brokenLinks(name: string): string[] {
  const links = [...withoutCode(read(name)).matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
  return links.flatMap(([link, file = '', anchor]) => {
    const target = file === '' ? name : path.posix.join(path.posix.dirname(name), file)
    if (!existsSync(path.join(root, target))) return [`${name}: ${link} leads nowhere`]
    if (anchor === undefined || headings(read(target)).some((heading) => anchorOf(heading) === anchor)) return []
    return [`${name}: ${link} leads to no heading`]
  })
}

describe('README.md', () => {
  const readme = read('README.md')

  test('has at most 1,400 words', () => {
    const words = readme.split(/\s+/).filter((word) => word !== '').length
    assert.ok(words <= 1400, `README.md has ${words} words: move details beside what they describe`)
  })

  test('leads to every other README of the project', () => {
    const missing = pages.filter((page) => page !== 'README.md' && !readme.includes(`](${page})`))
    assert.deepEqual(missing, [])
  })
})

test('a contents list names every section of its page, in their order', () => {
  for (const page of pages) {
    const text = read(page)
    const contents = [...text.matchAll(/^- \[(.*)\]\(#(.*)\)$/gm)].map(([, heading, anchor]) => ({ heading, anchor }))
    const sections = [...withoutCode(text).matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading)
    if (contents.length === 0 && sections.length < 3) continue
    const wanted = sections.map((heading) => ({ heading, anchor: anchorOf(heading) }))
    assert.deepEqual(contents, wanted, page)
  }
})

test('every link of a document leads to a file, and to a heading where it names one', () => {
  assert.ok(documents.includes('README.md') && documents.includes('src/README.md'))
  assert.deepEqual(documents.flatMap(brokenLinks), [])
})

test('every script that a document names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const unknown = documents.flatMap((name) =>
    [...read(name).matchAll(/npm run ([a-z0-9:]+)/g)]
      .filter(([, script = '']) => !(script in scripts))
      .map(([command]) => `${name}: ${command}`),
  )
  assert.deepEqual(unknown, [])
})

test('every source file and folder that a document names exists, counted from src, test, its page or the top folder', () => {
  const unknown = documents
    .filter((name) => name !== 'CHANGELOG.md')
    .flatMap((name) =>
      [...read(name).matchAll(/`([\w.-]+\.ts|\w+(?:\/[\w.-]+)*\/[\w-]+(?:\.ts)?)`/g)]
        .map(([, file = '']) => file)
        .filter((file) => !file.startsWith('dist/'))
        .filter((file) => !['src', 'test', path.dirname(name), ''].some((at) => existsSync(path.join(root, at, file))))
        .map((file) => `${name}: ${file}`),
    )
  assert.deepEqual(unknown, [])
})

test('the page of the API lists every fault with its status, code and text', () => {
  const rows = read('src/http/README.md')
    .split('\n')
    .filter((line) => line.startsWith('|') && line.includes('`ERR_'))
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

test('the changelog has the unreleased changes first, then the version of the package with its date', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  const [unreleased, latest, ...earlier] = headings(read('CHANGELOG.md')).filter((heading) => heading.startsWith('['))
  assert.equal(unreleased, '[Unreleased]')
  for (const heading of [latest, ...earlier]) assert.match(heading ?? '', /^\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$/)
  assert.ok(latest?.startsWith(`[${version}] - `), `${latest} is not version ${version}`)
})
