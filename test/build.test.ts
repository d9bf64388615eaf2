import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Script } from 'node:vm'
import { request } from './kit/http.ts'
import { eventually, freePort } from './kit/wait.ts'

interface Manifest {
  readonly version: string
  readonly bin: Readonly<Record<'infernet-gateway', string>>
}

const ROOT = fileURLToPath(new URL('../', import.meta.url))

test('what npm run build makes can be packed and installed, and reads the settings of where it is started', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'build-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['src', 'config', 'LICENSE', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true })
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  const run = promisify(execFile)
  await run('npm', ['run', 'build'], { cwd: folder })
  await run('npm', ['pack', '--ignore-scripts'], { cwd: folder })

  // As npm installs it, but for its dependencies, which are the ones here.
  const site = path.join(folder, 'site')
  const installed = path.join(site, 'node_modules/infernet-gateway')
  await mkdir(path.join(site, 'config'), { recursive: true })
  await mkdir(installed, { recursive: true })
  const { version, bin } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as Manifest
  const tarball = path.join(folder, `infernet-gateway-${version}.tgz`)
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
  await symlink(path.join(ROOT, 'node_modules'), path.join(installed, 'node_modules'))
  const pageFiles = await readdir(path.join(installed, 'dist/dashboard/page'))
  assert.deepEqual(
    pageFiles.filter((name) => name.endsWith('.ts')),
    [],
  )
  // Its licence asks for them to go with the viewer of /docs.
  for (const name of ['LICENSE', 'NOTICE'])
    assert.ok(existsSync(path.join(installed, 'dist/welcome/viewer', name)), name)

  const port = await freePort()
  await writeFile(path.join(site, 'config/production.json'), JSON.stringify({ PORT: port, STATE_URL: 'memory:' }))
  const env = { PATH: process.env['PATH'], NODE_ENV: 'production' }
  const command = path.join(installed, bin['infernet-gateway'])
  const gateway = spawn(process.execPath, [command], { cwd: site, env, stdio: 'inherit' })
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
})
