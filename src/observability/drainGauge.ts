import { Gauge, type Registry } from 'prom-client'
import { type NodeDrains, workAt } from '../admin/nodeDrains.ts'
import { shortLabel } from './boundedLabels.ts'

/** Nodes with a series of their own. */
const MOST_NODES = 200

/** A gauge that has a series for each node that is drained, and for no other, so that alerts can leave those out. */
export function addDrainGauge(registry: Registry, drains: NodeDrains): void {
  new Gauge({
    name: 'infernet_gateway_draining_node_unfinished',
    help: 'Requests and jobs left at a node that gets no new work; nodes that are not drained have no series',
    labelNames: ['node'],
    registers: [registry],
    collect(): void {
      this.reset()
      for (const node of drains.nodes.slice(0, MOST_NODES)) this.inc({ node: shortLabel(node.name) }, workAt(node))
    },
  })
}
