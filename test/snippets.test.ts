/** The commands and programs of README.md that talk to a gateway, run as they stand there but for the port. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startGateway } from './kit/builders/gateways.ts'
import { startFakeNode } from './kit/fakeNode/index.ts'
import { startFakeOpenAi } from './kit/fakeOpenAi/index.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const file = { after }
const node = await startFakeNode({ containers: ['llm'], rateLimit: 0 }, file)
const service = await startFakeOpenAi({ models: ['small-model'] }, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [{ name: 'small', url: service.url }],
  env: { RATELIMIT_REQS_PER_MIN: '0' },
  healthy: 2,
})

/** The blocks of this language that name the gateway's usual address. */
function snippets(language: string): string[] {
  const blocks = readFileSync(`${ROOT}README.md`, 'utf8').matchAll(/^```(\w+)\n([^]*?)^```$/gm)
  return [...blocks]
    .filter(([, one, code]) => one === language && code?.includes('localhost:4000'))
    .map(([, , code]) => code!)
}

/** What the program prints that reads the snippet from its standard input; rejects where it fails. */
async function run(command: readonly [string, ...string[]], snippet: string): Promise<string> {
  const [program, ...args] = command
  const child = spawn(program, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(snippet.replaceAll('localhost:4000', new URL(gateway.url).host))
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  assert.equal(child.exitCode, 0, `${snippet}\n${out}${errors}`)
  return out
}

const canRun = (program: string, ...args: string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0
const hasPython = (module: string): boolean => canRun('python3', '-c', `import ${module}`)

describe('the snippets of README.md run as pasted', () => {
  const noCurl = canRun('curl', '--version') ? false : 'curl is not installed'
  const commands = snippets('sh')
  assert.ok(commands.length >= 3)
  for (const snippet of commands) {
    test(snippet.split('\n')[0]!.slice(0, 60), { skip: noCurl }, async () => {
      const out = await run(['bash', '-euo', 'pipefail'], snippet)
      assert.notEqual(out, '')
      assert.doesNotMatch(out, /"error"/)
      // What the page shows of the answer, up to what differs from run to run.
      for (const [, shown = ''] of snippet.matchAll(/^# (\[?\{?"\w+":)/gm))
        assert.ok(out.includes(shown), `${out} lacks ${shown}`)
    })
  }

  test('JavaScript', async () => {
    const [program] = snippets('js')
    assert.match(await run([process.execPath, '--input-type=module'], program!), /hello/)
  })

  for (const [module, about] of [
    ['infernet_client', 'pip install infernet-client==1.0.0'],
    ['openai', 'pip install openai'],
  ] as const) {
    const skip = hasPython(module) ? false : `python3 has no ${module} (${about})`
    test(`Python with ${module}`, { skip }, async () => {
      const programs = snippets('python').filter((program) => program.includes(`from ${module} import`))
      assert.ok(programs.length > 0)
      for (const program of programs) assert.match(await run(['python3'], program), /\w/)
    })
  }
})
