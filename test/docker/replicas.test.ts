/** What docker/ says about several gateways: Compose and Kubernetes. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { schema, variables } from '../../src/config/schema.ts'
import { loadSettings, type Settings } from '../../src/config/settings.ts'
import { redisMissing, startRedis } from '../kit/redisServer.ts'
import { tempDir, type Cleanup } from '../kit/wait.ts'
import { DOCKER, readYaml, yamlFiles, type Compose, type Manifest } from './files.ts'

const compose = (await readYaml<Compose>('compose.replicas.yaml'))[0]!
const gateways = [1, 2, 3].map((number) => compose.services[`gateway-${number}`]!)
const valkey = compose.services['valkey']!
const kubernetes = (
  await Promise.all(
    ['settings', 'gateway', 'valkey'].map((name) => readYaml<Manifest>(`kubernetes/replicas/${name}.yaml`)),
  )
).flat()

function objectOf(kind: string, name: string): Manifest {
  const found = kubernetes.find((one) => one.kind === kind && one.metadata.name === name)
  assert.ok(found, `${kind} ${name}`)
  return found
}

const deployment = objectOf('Deployment', 'infernet-gateway')
const pod = deployment.spec.template.spec
const valkeyPod = objectOf('StatefulSet', 'infernet-gateway-state').spec.template.spec

/** Settings as a container gets them; what is named only there, such as `${API_KEYS:-}`, is empty. */
async function settingsOf(t: Cleanup, environment: Readonly<Record<string, string>>): Promise<Settings> {
  const folder = await tempDir(t)
  const set = Object.entries(environment).map(([name, value]) => [name, value.replace(/\$\{\w+:-\}/g, '')])
  return loadSettings({
    environment: Object.fromEntries(set) as Record<string, string>,
    workingDirectory: folder,
    packageRoot: folder,
    isTerminal: false,
  })
}

const secondsOf = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1])
const megabytesOf = (text: string): number => Number(/^(\d+)mb$/.exec(text)?.[1])

test('every YAML file of docker/ can be parsed', async () => {
  const files = await yamlFiles()
  assert.ok(files.length >= 6)
  for (const file of files) assert.ok((await readYaml(file)).length > 0, file)
})

describe('compose.replicas.yaml', () => {
  test('gives all gateways the same settings, which exist, and one store', async (t) => {
    assert.deepEqual(gateways[1], gateways[0])
    assert.deepEqual(gateways[2], gateways[0])
    const names = Object.keys(gateways[0]!.environment)
    for (const name of names) assert.ok((variables as string[]).includes(name), name)
    assert.match((await settingsOf(t, gateways[0]!.environment)).stateUrl, /^redis:\/\/valkey:6379\//)
  })

  test('gives a gateway more time to end than it drains', async (t) => {
    const { drainTimeoutSeconds } = await settingsOf(t, gateways[0]!.environment)
    assert.ok(secondsOf(gateways[0]!.stop_grace_period) > drainTimeoutSeconds)
  })

  test('lets only the balancer be reached from outside, and only gateways reach the store', () => {
    const services = Object.entries(compose.services)
    assert.deepEqual(
      services.filter(([, service]) => service.ports).map(([name]) => name),
      ['balancer'],
    )
    assert.equal(compose.networks['state']?.internal, true)
    assert.deepEqual(valkey.networks, ['state'])
    assert.deepEqual(compose.services['balancer']?.networks, ['front'])
  })
})

describe('the manifests for Kubernetes', () => {
  test('give all gateways settings that exist', async (t) => {
    const { data } = objectOf('ConfigMap', 'infernet-gateway')
    const [{ env }] = pod.containers
    for (const name of [...Object.keys(data), ...env.map(({ name }) => name)]) {
      if (name !== 'STATE_PASSWORD') assert.ok((variables as string[]).includes(name), name)
    }
    const stateUrl = env.find(({ name }) => name === 'STATE_URL')!.value!
    const host = objectOf('Service', 'infernet-gateway-state').metadata.name
    assert.equal(
      (await settingsOf(t, { ...data, STATE_URL: stateUrl.replace('$(STATE_PASSWORD)', 'word') })).stateUrl,
      `redis://:word@${host}:6379/0`,
    )
  })

  test('ask /readyz and /livez, and give a pod more time to end than it sleeps and drains', async (t) => {
    const [container] = pod.containers
    assert.equal(container.readinessProbe.httpGet.path, '/readyz')
    assert.equal(container.livenessProbe.httpGet.path, '/livez')
    assert.equal(container.startupProbe.httpGet.path, '/livez')
    const { drainTimeoutSeconds } = await settingsOf(t, objectOf('ConfigMap', 'infernet-gateway').data)
    const [, sleeps] = container.lifecycle.preStop.exec.command
    assert.ok(pod.terminationGracePeriodSeconds > drainTimeoutSeconds + Number(sleeps))
  })

  test('keep two of three gateways through updates and evictions', () => {
    assert.equal(deployment.spec.replicas, 3)
    assert.equal(deployment.spec.strategy.rollingUpdate.maxUnavailable, 0)
    const budget = objectOf('PodDisruptionBudget', 'infernet-gateway')
    assert.equal(budget.spec.maxUnavailable, 1)
    for (const selector of [budget.spec.selector, deployment.spec.selector]) {
      assert.deepEqual(selector.matchLabels, deployment.spec.template.metadata.labels)
    }
  })

  const hasKubectl = isInstalled('kubectl', 'version', '--client')
  test('are put together by kubectl', { skip: !hasKubectl && 'kubectl is not installed' }, async () => {
    const { stdout } = await promisify(execFile)('kubectl', ['kustomize', `${DOCKER}kubernetes/replicas`])
    assert.equal([...stdout.matchAll(/^kind: /gm)].length, kubernetes.length)
  })
})

describe('the store', () => {
  for (const [where, command] of [
    ['of compose.replicas.yaml', valkey.command],
    ['of Kubernetes', valkeyPod.containers[0].command],
  ] as const) {
    const [program, ...args] = command
    test(`${where} has room for what gateways keep`, () => {
      assert.equal(program, 'valkey-server')
      const maxMemory = megabytesOf(args[args.indexOf('--maxmemory') + 1]!)
      assert.ok(maxMemory * 1024 ** 2 >= 1.3 * schema.STATE_MAX_BYTES.default)
    })

    test(`${where} keeps what it has acknowledged, and throws nothing away`, { skip: redisMissing }, async (t) => {
      const own = args.filter((_, index) => args[index] !== '--dir' && args[index - 1] !== '--dir')
      const password = own.includes('--requirepass') ? '$(STATE_PASSWORD)' : undefined
      const server = await startRedis(t, { args: own, ...(password !== undefined && { password }) })
      for (const [name, value] of [
        ['appendonly', 'yes'],
        ['appendfsync', 'everysec'],
        ['maxmemory-policy', 'noeviction'],
        ['save', ''],
      ] as const) {
        assert.deepEqual(await server.call('CONFIG', 'GET', name), { [name]: value })
      }
    })
  }
})

function isInstalled(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
