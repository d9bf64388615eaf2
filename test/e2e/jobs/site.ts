/** One gateway for all tests of a suite. Each has nodes, a container and a caller's address of its own there, so that they do not meet. */
import { before } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { request } from '../../kit/http.ts'
import { spawnFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode, FakeNodeOptions, SpawnedFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { afterSuite, startNodes, type Target } from './support.ts'

type Listed = { readonly address: string }

export class SharedGateway {
  #gateway: Gateway | undefined
  #addresses: string[] = []
  #writing: Promise<void> = Promise.resolve()
  #sites = 0

  /** To be called in a suite: starts before its tests, ends after them. */
  constructor(env: Record<string, string> = {}) {
    const cleanup = afterSuite()
    const unlimited = { PROXY_RATELIMIT_REQS_PER_MIN: '0', READ_RATELIMIT_REQS_PER_MIN: '0', MAX_JOBS_PER_CALLER: '0' }
    before(async () => {
      this.#gateway = await spawnGateway(cleanup, { env: { ...unlimited, ...env } })
    })
  }

  get gateway(): Gateway {
    if (!this.#gateway) throw new Error('the gateway is started before the tests')
    return this.#gateway
  }

  /** A place for one test, cleared after it. */
  site(t: Cleanup): Site {
    const site = new Site(this, t, ++this.#sites)
    t.after(() => site.clear())
    return site
  }

  /** Puts nodes into the addresses file, takes others out. */
  async list(added: readonly Listed[], removed: readonly Listed[] = []): Promise<void> {
    const gone = new Set(removed.map(({ address }) => address))
    this.#addresses = [...this.#addresses, ...added.map(({ address }) => address)].filter((at) => !gone.has(at))
    this.#writing = this.#writing.then(() => this.gateway.setNodes(this.#addresses))
    await this.#writing
  }
}

/** Where one test submits, and to nodes of its own. */
export class Site implements Target {
  readonly container: string
  readonly from: string
  readonly #shared: SharedGateway
  readonly #t: Cleanup
  readonly #listed = new Set<Listed>()

  constructor(shared: SharedGateway, t: Cleanup, number: number) {
    this.#shared = shared
    this.#t = t
    this.container = `box${number}`
    this.from = `127.1.0.${number}`
  }

  get url(): string {
    return this.gateway.url
  }

  get gateway(): Gateway {
    return this.#shared.gateway
  }

  /** Nodes in this process, listed and healthy. */
  async nodes(count: number, options: FakeNodeOptions = {}): Promise<LocalFakeNode[]> {
    const nodes = await startNodes(this.#t, count, { containers: [this.container], ...options })
    await this.list(...nodes)
    return nodes
  }

  /** A node in a process of its own, listed and healthy. */
  async process(options: FakeNodeOptions = {}): Promise<SpawnedFakeNode> {
    const node = await spawnFakeNode({ rateLimit: 0, containers: [this.container], ...options }, this.#t)
    await this.list(node)
    return node
  }

  /** Puts nodes into the list and waits until they are healthy. */
  async list(...nodes: Listed[]): Promise<void> {
    for (const node of nodes) this.#listed.add(node)
    await this.#shared.list(nodes)
    await this.healthy(...nodes)
  }

  async healthy(...nodes: Listed[]): Promise<void> {
    const look = async (): Promise<boolean> => {
      const { services } = (await request(`${this.url}/services`)).json<{
        services: { name: string; healthy: boolean }[]
      }>()
      const healthy = new Set(services.filter((service) => service.healthy).map(({ name }) => name))
      return nodes.every(({ address }) => healthy.has(address))
    }
    await eventually(look, { withinMs: 20_000, everyMs: 50, what: `the health of ${nodes.length} nodes` })
  }

  /** Takes nodes out of the list and waits until that is noticed. */
  async unlist(...nodes: Listed[]): Promise<void> {
    for (const node of nodes) this.#listed.delete(node)
    await this.#shared.list([], nodes)
    const look = async (): Promise<boolean> => {
      const { text } = await request(`${this.url}/services`)
      return !nodes.some(({ address }) => text.includes(`"${address}"`))
    }
    await eventually(look, { withinMs: 20_000, everyMs: 50, what: 'the new list' })
  }

  async clear(): Promise<void> {
    await this.#shared.list([], [...this.#listed])
  }
}
