import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Script } from 'node:vm'
import { request } from './kit/http.ts'
import { eventually, freePort } from './kit/wait.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

test('what npm run build makes runs alone, its dashboard and the viewer of /docs included', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'build-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['src', 'config', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true })
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  await promisify(execFile)('npm', ['run', 'build'], { cwd: folder })
  await rm(path.join(folder, 'src'), { recursive: true })
  assert.deepEqual(
    (await readdir(path.join(folder, 'dist/dashboard/page'))).filter((name) => name.endsWith('.ts')),
    [],
  )

  const port = await freePort()
  const env = { PATH: process.env['PATH'], PORT: String(port), STATE_URL: 'memory:' }
  const gateway = spawn(process.execPath, ['dist/cli.js'], { cwd: folder, env, stdio: 'inherit' })
  t.after(() => gateway.kill('SIGKILL'))
  const page = await eventually(() => request(`http://127.0.0.1:${port}/dashboard`).catch(() => undefined))
  assert.equal(page.status, 200)
  const [, style, script] = /<style>([^]*)<\/style>[^]*<script type="module">([^]*)<\/script>/.exec(page.text) ?? []
  assert.ok(style?.includes(':root'))
  assert.ok(script?.includes('function showNodes(nodes)'))
  assert.doesNotThrow(() => new Script(`'use strict'; {${script}}`))
  for (const name of ['swagger-ui-bundle.js', 'swagger-ui.css']) {
    const file = await request(`http://127.0.0.1:${port}/docs/${name}`)
    assert.equal(file.text, await readFile(path.join(ROOT, 'node_modules/swagger-ui-dist', name), 'utf8'), name)
  }
  // Its licence asks for them to go with it.
  for (const name of ['LICENSE', 'NOTICE']) assert.ok(existsSync(path.join(folder, 'dist/welcome/viewer', name)), name)
})
