import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ESLint } from 'eslint'

/*
 * `npm run lint` holds the sources to the rules. Here the rules are held to what they are for: each finds what breaks it.
 */

const ROOT = fileURLToPath(new URL('../', import.meta.url))

interface Violation {
  from: string
  to: string
  rule: { name: string }
}

/** Texts of files by their names. */
type Files = Readonly<Record<string, string>>

/** A folder with these files and the project's own settings, in which one of its commands runs. Returns what that prints. */
async function runWith(files: Files, command: string, args: readonly string[]): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'rules-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
      await writeFile(path.join(folder, name), text)
    }
    for (const name of ['.dependency-cruiser.js', '.knip.jsonc', 'tsconfig.json']) {
      await copyFile(path.join(ROOT, name), path.join(folder, name))
    }
    const program = [path.join(ROOT, 'node_modules/.bin', command), ...args]
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    execFile(process.execPath, program, { cwd: folder, maxBuffer: 16e6 }, (error, stdout) => {
      // Its exit code says that something was found.
      if (error && stdout === '') reject(error)
      else resolve(stdout)
    })
    return await promise
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Sources that each break one rule of imports, or none. */
const IMPORTS: Files = {
  'package.json': '{ "type": "module" }',
  'src/cli.ts': `const { run } = await import('./main.ts')`,
  'src/main.ts': `import { a } from './app.ts'\nimport type { L } from './observability/logger.ts'`,
  'src/app.ts': `export const a = 1\nexport const m = 1`,
  'src/observability/logger.ts': `export type L = 1`,
  'src/jobs/b.ts': `export const get = 1\nexport const put = 2`,
  'src/jobs/deep/c.ts': `import { a } from '../../fleet/index.ts'\nimport b from '../b.ts'`,
  'src/openai/b.ts': `export const x = 1`,
  'src/upstream/get.ts': `export const get = 1`,
  'src/fleet/a.ts': `export const a = 1`,
  'src/fleet/index.ts': `export { a } from './a.ts'`,
  'src/base/a.ts': `// import '../main.ts'\nconst text = "import '../main.ts'"`,
  'src/fleet/upward.ts': `import { get } from '../upstream/get.ts'`,
  'src/upstream/longImport.ts': `import {\n  get,\n  put,\n} from '../jobs/b.ts'`,
  'src/upstream/index.ts': `export { get } from './get.ts'`,
  'src/openai/byTheIndex.ts': `import { get } from '../upstream/index.ts'`,
  'src/openai/pastTheIndex.ts': `import { get } from '../upstream/get.ts'`,
  'src/fleet/types.ts': `import type { L } from '../observability/logger.ts'`,
  'src/http/typeExpression.ts': `type Get = import('../upstream/get.ts').Get`,
  'src/json/effects.ts': `import '../app.ts'`,
  'src/jobs/reexport.ts': `export * from '../openai/b.ts'`,
  'src/lookup/lazy.ts': `const b = await import('../jobs/b.ts')`,
  'src/lookup/tests.ts': `import { x } from '../../test/kit/x.ts'`,
  'src/ledger/gone.ts': `import { x } from './nothing.ts'`,
  'src/faults/unknownLayer.ts': `import { x } from '../utils/x.ts'`,
  'src/utils/x.ts': `export const x = 1`,
  'src/config/one.ts': `import type { Two } from './two.ts'\nexport type One = Two`,
  'src/config/two.ts': `import type { One } from './one.ts'\nexport type Two = One`,
  'test/kit/x.ts': `import { a } from '../../src/app.ts'\nexport const x = a`,
}

describe('the rules of imports', () => {
  let found: Violation[] = []

  before(async () => {
    const printed = await runWith(IMPORTS, 'depcruise', ['--output-type', 'json', 'src', 'test'])
    found = (JSON.parse(printed) as { summary: { violations: Violation[] } }).summary.violations
  })

  const rulesBrokenBy = (name: string): string[] =>
    found.filter(({ from }) => from === name).map(({ rule, to }) => `${rule.name}: ${to}`)

  for (const [what, name, broken] of [
    ['an upward import', 'src/fleet/upward.ts', 'layer-fleet: src/upstream/get.ts'],
    ['an import over several lines', 'src/upstream/longImport.ts', 'layer-upstream: src/jobs/b.ts'],
    ['an import past the index of a folder', 'src/openai/pastTheIndex.ts', 'by-the-index: src/upstream/get.ts'],
    ['an import of types', 'src/fleet/types.ts', 'layer-fleet: src/observability/logger.ts'],
    ['a type written as an import', 'src/http/typeExpression.ts', 'layer-http: src/upstream/get.ts'],
    ['an import for its effects', 'src/json/effects.ts', 'layer-json: src/app.ts'],
    ['a re-export', 'src/jobs/reexport.ts', 'layer-jobs: src/openai/b.ts'],
    ['a lazy import', 'src/lookup/lazy.ts', 'layer-lookup: src/jobs/b.ts'],
    ['an import of tests', 'src/lookup/tests.ts', 'src-stands-alone: test/kit/x.ts'],
    ['an import of a module that is not there', 'src/ledger/gone.ts', 'resolvable: ./nothing.ts'],
  ] as const) {
    test(`${what} is found`, () => {
      assert.deepEqual(rulesBrokenBy(name), [broken])
    })
  }

  test('a folder that is none of the layers is found', () => {
    const broken = ['layer-faults: src/utils/x.ts', 'layers-are-named: src/utils/x.ts']
    assert.deepEqual(rulesBrokenBy('src/faults/unknownLayer.ts').sort(), broken)
  })

  test('a cycle is found, even within a folder and of types alone', () => {
    const cycles = found.filter(({ rule }) => rule.name === 'no-cycles')
    assert.deepEqual(
      cycles.map(({ from, to }) => [from, to].sort()),
      [['src/config/one.ts', 'src/config/two.ts']],
    )
  })

  test('imports downwards or within a layer are allowed, and text that only looks like one', () => {
    for (const name of ['src/cli.ts', 'src/main.ts', 'src/jobs/deep/c.ts', 'src/base/a.ts', 'test/kit/x.ts']) {
      assert.deepEqual(rulesBrokenBy(name), [], name)
    }
  })
})

/** What is used, and what is not. */
const EXPORTS: Files = {
  'package.json': `{ "type": "module", "dependencies": { "express": "*" }, "devDependencies": { "ws": "*" } }`,
  'src/cli.ts': `import { used, type Used } from './base/a.ts'\nconst value: Used = used\nvoid value`,
  'src/base/a.ts': `
    export const used = 1
    export type Used = number
    export const onlyTested = 2
    export const dead = 3
    export type Dead = number
    export interface OnlyHere { a: 1 }
    export const own: OnlyHere = { a: 1 }`,
  'src/base/deadFile.ts': `export const a = 1`,
  'src/base/testedFile.ts': `export const a = 1`,
  'test/a.test.ts': `
    import { onlyTested, own } from '../src/base/a.ts'
    import { a } from '../src/base/testedFile.ts'
    import { helped } from './kit/help.ts'
    void [onlyTested, own, a, helped]`,
  'test/kit/help.ts': `export const helped = 1\nexport const helpless = 2`,
}

interface Unused {
  issues: ({ file: string } & Record<string, { name: string }[]>)[]
}

describe('the rules of exports', () => {
  const unused = async (...args: string[]): Promise<string[]> => {
    const { issues } = JSON.parse(await runWith(EXPORTS, 'knip', ['--reporter', 'json', ...args])) as Unused
    return issues
      .flatMap(({ file, ...kinds }) =>
        Object.entries(kinds).flatMap(([kind, found]) =>
          found.map(({ name }) => (kind === 'files' ? `files: ${name}` : `${kind}: ${file} ${name}`)),
        ),
      )
      .sort()
  }

  test('files, exports, types and packages that nothing uses are found, in tests as well', async () => {
    assert.deepEqual(await unused(), [
      'dependencies: package.json express',
      'devDependencies: package.json ws',
      'exports: src/base/a.ts dead',
      'exports: test/kit/help.ts helpless',
      'files: src/base/deadFile.ts',
      'types: src/base/a.ts Dead',
    ])
  })

  test('what only tests use of src is found, though the other run takes it for used', async () => {
    const found = (await unused('--production')).filter((one) => one.includes('src/'))
    assert.deepEqual(found, [
      'exports: src/base/a.ts dead',
      'exports: src/base/a.ts onlyTested',
      'exports: src/base/a.ts own',
      'files: src/base/deadFile.ts',
      'files: src/base/testedFile.ts',
      'types: src/base/a.ts Dead',
      'types: src/base/a.ts OnlyHere',
    ])
  })
})

describe('the rules of a file', () => {
  const RULES = ['max-lines', 'no-restricted-properties', 'no-restricted-imports', '@typescript-eslint/max-params']
  const eslint = new ESLint({
    cwd: ROOT,
    ruleFilter: ({ ruleId }) => RULES.includes(ruleId),
    // None of these asks for types, which would take a look at the whole project.
    overrideConfig: { languageOptions: { parserOptions: { projectService: false } } },
  })

  async function rulesBrokenBy(name: string, text: string): Promise<(string | null)[]> {
    const [result] = await eslint.lintText(text, { filePath: path.join(ROOT, name) })
    return result!.messages.map(({ ruleId }) => ruleId)
  }

  test('the environment is found in every spelling, and allowed where settings are read', async () => {
    for (const [text, rule] of [
      ['export const a = process.env.A', 'no-restricted-properties'],
      [`export const a = process['env']`, 'no-restricted-properties'],
      ['export const { env } = process', 'no-restricted-properties'],
      [`import { env } from 'node:process'`, 'no-restricted-imports'],
      [`import { env as settings } from 'process'`, 'no-restricted-imports'],
    ] as const) {
      assert.deepEqual(await rulesBrokenBy('src/fleet/a.ts', text), [rule], text)
      for (const name of ['src/config/a.ts', 'src/cli.ts', 'test/a.ts']) {
        assert.deepEqual(await rulesBrokenBy(name, text), [], `${name}: ${text}`)
      }
    }
    assert.deepEqual(await rulesBrokenBy('src/fleet/a.ts', '// process.env\nprocess.pid'), [])
  })

  test('a file of src with more than 350 lines is found', async () => {
    assert.deepEqual(await rulesBrokenBy('src/a.ts', 'a()\n'.repeat(350)), [])
    assert.deepEqual(await rulesBrokenBy('src/a.ts', 'a()\n'.repeat(351)), ['max-lines'])
  })

  test('a function with six parameters is found, wherever it is', async () => {
    const six = '(a: 1, b: 2, c: 3, d: 4, e: 5, f: 6)'
    for (const text of [
      `export function long${six}: void {}`,
      `export const long = async ${six}: Promise<void> => {}`,
      `export class Long { constructor${six} {} }`,
      `export class Long { #long${six}: void {} }`,
      `export type Long = ${six} => void`,
    ]) {
      for (const name of ['src/a.ts', 'test/a.ts']) {
        assert.deepEqual(await rulesBrokenBy(name, text), ['@typescript-eslint/max-params'], text)
      }
      assert.deepEqual(await rulesBrokenBy('src/a.ts', text.replace(', f: 6', '')), [])
    }
  })
})
