/** What docker/ says about one gateway, and what holds for all manifests for Kubernetes. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import { Ajv } from 'ajv'
import { parseDotEnv } from '../../src/config/dotEnv.ts'
import { variables } from '../../src/config/schema.ts'
import { DOCKER, readYaml, yamlFiles, type Compose, type Manifest } from './files.ts'
import { KUBERNETES_SCHEMAS } from './kubernetesSchema.ts'

const compose = (await readYaml<Compose>('compose.yaml'))[0]!
const manifests = (await yamlFiles()).filter((name) => name.startsWith('kubernetes/'))
const documents = (
  await Promise.all(manifests.map(async (file) => ({ file, found: await readYaml<Manifest>(file) })))
).flatMap(({ file, found }) => found.map((document) => ({ file, document })))
const single = documents.filter(({ file }) => file.startsWith('kubernetes/single/')).map(({ document }) => document)

function objectOf(kind: string, name: string): Manifest {
  const found = single.find((one) => one.kind === kind && one.metadata?.name === name)
  assert.ok(found, `${kind} ${name}`)
  return found
}

/** The names of settings that stand in a file of variables, also those behind a `#`. */
async function settingsIn(name: string): Promise<string[]> {
  const text = await readFile(path.join(DOCKER, name), 'utf8')
  return Object.keys(parseDotEnv(text.replace(/^# (?=[A-Z_]+=)/gm, '')))
}

describe('compose.yaml', () => {
  const gateway = compose.services['gateway']!

  test('takes every setting from a file of the operator, which may be missing and wins over its own', async () => {
    assert.equal(gateway.environment, undefined)
    assert.deepEqual(gateway.env_file, ['compose.env', { path: 'gateway.env', required: false }])
    for (const name of [...(await settingsIn('compose.env')), ...(await settingsIn('gateway.env.example'))]) {
      assert.ok((variables as string[]).includes(name), name)
    }
    assert.deepEqual(await settingsIn('compose.env'), ['IPS_FILE'])
  })

  test('mounts the folder of the files that IPS_FILE and SERVICES_FILE name', async () => {
    assert.ok(gateway.volumes?.includes('./fleet:/fleet:ro'))
    const example = await readFile(path.join(DOCKER, 'gateway.env.example'), 'utf8')
    assert.match(example, /^# SERVICES_FILE=\/fleet\/services\.json$/m)
    assert.match(await readFile(path.join(DOCKER, 'compose.env'), 'utf8'), /^IPS_FILE=\/fleet\/ips\.txt$/m)
  })

  test('keeps a bounded log of each container, and so does compose.replicas.yaml', async () => {
    const replicas = (await readYaml<Compose>('compose.replicas.yaml'))[0]!
    for (const [name, { logging }] of [...Object.entries(compose.services), ...Object.entries(replicas.services)]) {
      assert.deepEqual(logging, { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } }, name)
    }
  })
})

describe('the manifests for Kubernetes', () => {
  test('have only members that the API knows, each in its place', () => {
    assert.ok(documents.length > 15)
    const ajv = new Ajv({ allErrors: true, allowUnionTypes: true })
    for (const { file, document } of documents) {
      const schema = KUBERNETES_SCHEMAS[document.kind]
      assert.ok(schema, `${file}: ${document.kind}`)
      assert.ok(ajv.validate(schema, document), `${file}, ${document.kind}: ${ajv.errorsText()}`)
    }
  })

  test('are all named by the kustomization beside them', () => {
    for (const folder of ['single', 'replicas']) {
      const own = documents.filter(({ file }) => file.startsWith(`kubernetes/${folder}/`))
      const { resources } = own.find(({ document }) => document.kind === 'Kustomization')!.document
      const files = new Set(own.map(({ file }) => path.basename(file)))
      assert.deepEqual([...resources!, 'kustomization.yaml'].sort(), [...files].sort())
    }
  })

  test('for one gateway set settings that exist, and mount the files that these name', () => {
    const { data } = objectOf('ConfigMap', 'infernet-gateway')
    for (const name of Object.keys(data)) assert.ok((variables as string[]).includes(name), name)
    const [container] = objectOf('Deployment', 'infernet-gateway').spec.template.spec.containers
    assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === '/fleet'))
    const files = objectOf('ConfigMap', 'infernet-gateway-fleet').data
    assert.deepEqual(
      [data['IPS_FILE'], data['SERVICES_FILE']].sort(),
      Object.keys(files)
        .map((name) => `/fleet/${name}`)
        .sort(),
    )
    assert.deepEqual(JSON.parse(files['services.json']!), [])
  })

  test('for one gateway never run two on one ledger, and end it later than it drains', () => {
    const { replicas, strategy, template } = objectOf('Deployment', 'infernet-gateway').spec
    assert.deepEqual([replicas, strategy], [1, { type: 'Recreate' }])
    const { DRAIN_TIMEOUT } = objectOf('ConfigMap', 'infernet-gateway').data
    const [container] = template.spec.containers
    const [, sleeps] = container.lifecycle.preStop.exec.command
    assert.ok(template.spec.terminationGracePeriodSeconds > Number(DRAIN_TIMEOUT) + Number(sleeps))
  })

  test('for one gateway list nodes by the name of a headless service', () => {
    const [, name, port] = /^dns:\/\/([\w-]+):(\d+)$/m.exec(
      objectOf('ConfigMap', 'infernet-gateway-fleet').data['ips.txt']!,
    )!
    const { spec } = objectOf('Service', name!)
    assert.equal(spec.clusterIP, 'None')
    assert.equal(spec.ports[0].port, Number(port))
  })
})
