import { Gauge, type Registry } from 'prom-client'

/** Which version runs, on which Node.js. */
export function addBuildInfo(registry: Registry, version: string): void {
  new Gauge({
    name: 'infernet_gateway_build_info',
    help: '1, with the versions of the gateway and of Node.js as labels',
    labelNames: ['version', 'node_version'],
    // Once for all workers of a machine.
    aggregator: 'max',
    registers: [registry],
  }).set({ version, node_version: process.version }, 1)
}
