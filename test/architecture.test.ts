import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** A source file; `name` counts from `src/`, with slashes: `fleet/poll.ts`. */
interface Source {
  name: string
  text: string
}

const leaves = ['json', 'faults', 'base', 'ids', 'memory']
const beneathProxy = ['http', 'fleet', ...leaves]
const beneathFeatures = ['proxy', 'ledger', ...beneathProxy]
const features = ['jobs', 'openai', 'lookup']
const watching = ['observability', 'openapi', 'dashboard']
const beneathApp = [...features, ...beneathFeatures]

/** Each layer, a folder or file of `src/`, and the layers that it may import besides itself. Types count as well. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  cli: ['main', 'app', 'config', ...watching, ...beneathApp],
  main: ['app', 'config', ...watching, ...beneathApp],
  app: beneathApp,
  observability: beneathApp,
  openapi: ['http', 'faults'],
  dashboard: [],
  jobs: beneathFeatures,
  openai: beneathFeatures,
  lookup: beneathFeatures,
  proxy: beneathProxy,
  ledger: ['base', 'faults'],
  http: leaves,
  fleet: leaves,
  json: ['base'],
  memory: [],
  base: [],
  ids: ['faults'],
  faults: [],
  config: [],
}

const mostLines = 350

const layerOf = (name: string) => (name.split('/')[0] ?? '').replace(/\.ts$/, '')

/** The files of ours that a source imports, re-exports, loads or takes types from, as names from `src/`. */
function importsOf({ name, text }: Source): string[] {
  return ts
    .preProcessFile(text)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => path.posix.join(path.posix.dirname(name), specifier))
}

function upwardArrows(source: Source): string[] {
  const layer = layerOf(source.name)
  const allowed = mayImport[layer]
  if (!allowed) return [`${source.name}: "${layer}" is none of the layers`]
  return importsOf(source)
    .filter((target) => layerOf(target) !== layer && !allowed.includes(layerOf(target)))
    .map((target) => `${source.name} imports ${target}`)
}

const isProcess = (node: ts.Node | undefined) => node !== undefined && ts.isIdentifier(node) && node.text === 'process'

/** Whether a node of the syntax tree is `process.env`, `process['env']`, `{ env } = process` or an import of `env`. */
function takesEnvironment(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node)) return isProcess(node.expression) && node.name.text === 'env'
  if (ts.isElementAccessExpression(node)) {
    const { expression, argumentExpression: member } = node
    return isProcess(expression) && ts.isStringLiteralLike(member) && member.text === 'env'
  }
  if (ts.isVariableDeclaration(node)) return isProcess(node.initializer) && ts.isObjectBindingPattern(node.name)
  if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return false
  return /^(node:)?process$/.test(node.moduleSpecifier.text) && /\benv\b/.test(node.importClause?.getText() ?? '')
}

function environmentReads({ name, text }: Source): string[] {
  if (['config', 'cli'].includes(layerOf(name))) return []
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (takesEnvironment(node)) {
      found.push(`${name}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1} reads the environment`)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

function tooLong({ name, text }: Source): string[] {
  const lines = text.replace(/\n$/, '').split('\n').length
  return lines > mostLines ? [`${name} has ${lines} lines`] : []
}

async function readSources(): Promise<Source[]> {
  const root = fileURLToPath(new URL('../src/', import.meta.url))
  const names = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const read = async (name: string) => ({
    name: name.replaceAll(path.sep, '/'),
    text: await readFile(path.join(root, name), 'utf8'),
  })
  return Promise.all(names.map(read))
}

describe('the sources', () => {
  test('imports point one way', async () => {
    const sources = await readSources()
    assert.ok(sources.some(({ name }) => name === 'cli.ts') && sources.some((source) => importsOf(source).length > 0))
    assert.deepEqual(sources.flatMap(upwardArrows), [])
  })

  test(`no file has more than ${mostLines} lines`, async () => {
    assert.deepEqual((await readSources()).flatMap(tooLong), [])
  })

  test('only config and cli read the environment', async () => {
    assert.deepEqual((await readSources()).flatMap(environmentReads), [])
  })
})

describe('the rules find what breaks them', () => {
  const arrows = (name: string, text: string) => upwardArrows({ name, text })

  test('an arrow that points downwards, within a layer, or at a package is allowed', () => {
    const text = `
      import type { Logger } from '../observability/logger.ts'
      import { loadSettings } from './config/settings.ts'
      import express from 'express'
      const { run } = await import('./app.ts')`
    assert.deepEqual(arrows('main.ts', text.replace('../', './')), [])
    assert.deepEqual(
      arrows('jobs/follow/store.ts', `import { a } from '../../fleet/a.ts'; import b from '../b.ts'`),
      [],
    )
  })

  for (const [what, name, text, target] of [
    ['an upward import', 'fleet/poll.ts', `import { get } from '../proxy/get.ts'`, 'proxy/get.ts'],
    ['an import over several lines', 'proxy/a.ts', `import {\n  get,\n  put,\n} from '../jobs/b.ts'`, 'jobs/b.ts'],
    [
      'an import of types',
      'fleet/a.ts',
      `import type { L } from '../observability/logger.ts'`,
      'observability/logger.ts',
    ],
    ['an import for its effects', 'json/a.ts', `import '../faults.ts'`, 'faults.ts'],
    ['a re-export', 'jobs/a.ts', `export * from '../openai/b.ts'`, 'openai/b.ts'],
    ['a lazy import', 'lookup/a.ts', `const b = await import('../jobs/b.ts')`, 'jobs/b.ts'],
    ['a type written as import', 'http/a.ts', `type B = import('../proxy/b.ts').B`, 'proxy/b.ts'],
    [
      'settings taken from below',
      'app.ts',
      `import { loadSettings } from './config/settings.ts'`,
      'config/settings.ts',
    ],
    ['a way out of the sources', 'app.ts', `import { x } from '../test/kit/x.ts'`, '../test/kit/x.ts'],
  ] as const) {
    test(`${what} is found`, () => {
      assert.deepEqual(arrows(name, text), [`${name} imports ${target}`])
    })
  }

  test('a folder that is none of the layers is found', () => {
    assert.deepEqual(arrows('utils/a.ts', ''), ['utils/a.ts: "utils" is none of the layers'])
  })

  test('an import in a comment or a string is none', () => {
    assert.deepEqual(arrows('json/a.ts', `// import '../main.ts'\nconst text = "import '../main.ts'"`), [])
  })

  test('the environment is found in every spelling, and allowed where settings are read', () => {
    const spellings = [
      'const a = process.env.A',
      `const a = process['env']`,
      'const { env } = process',
      `import { env } from 'node:process'`,
    ]
    for (const text of spellings) {
      const name = 'fleet/a.ts'
      assert.deepEqual(environmentReads({ name, text }), ['fleet/a.ts:1 reads the environment'], text)
      assert.deepEqual(environmentReads({ name: 'config/a.ts', text }), [])
      assert.deepEqual(environmentReads({ name: 'cli.ts', text }), [])
    }
    assert.deepEqual(environmentReads({ name: 'fleet/a.ts', text: '// process.env\nprocess.pid' }), [])
  })

  test('a file that is too long is found', () => {
    assert.deepEqual(tooLong({ name: 'a.ts', text: 'a\n'.repeat(mostLines) }), [])
    assert.deepEqual(tooLong({ name: 'a.ts', text: 'a\n'.repeat(mostLines + 1) }), [`a.ts has ${mostLines + 1} lines`])
  })
})
