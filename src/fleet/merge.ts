import { serviceAddressOf, type NodeSpec } from './address.ts'

/** The entries of all lists, each backend once: of two spellings of one the first stands. */
export function* oncePerBackend(lists: readonly (readonly NodeSpec[])[]): Generator<NodeSpec, void, void> {
  const keys = new Set<string>()
  /** Names and addresses of services. */
  const services = new Set<string>()
  for (const list of lists) {
    for (const spec of list) {
      if (keys.has(spec.key)) continue
      if (spec.kind === 'openai') {
        const [name, address] = [`name ${spec.name}`, `address ${serviceAddressOf(spec)}`]
        if (spec.yields && (services.has(name) || services.has(address))) continue
        services.add(name).add(address)
      }
      keys.add(spec.key)
      yield spec
    }
  }
}
