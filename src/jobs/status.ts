import type { Request, Response } from 'express'
import ipaddr from 'ipaddr.js'
import { parseAddress, type TrackedNode } from '../fleet/index.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf, memoryOf, readBody } from '../http/index.ts'
import type { JobRecord } from '../ledger/index.ts'
import { collect, headersForBackend, writeAnswer } from '../upstream/index.ts'
import type { JobDeps } from './deps.ts'
import type { Follower } from './follow/follower.ts'
import { unknownJob } from './results.ts'
import { checkStatus, readStatus, withId } from './statusReport.ts'

/** Answers whether an address is among the allowed ones (addresses or CIDR ranges). */
export function addressList(allowed: readonly string[]): (address: string) => boolean {
  const ranges = allowed.map((entry) => {
    if (entry.includes('/')) return ipaddr.parseCIDR(entry)
    const address = ipaddr.process(entry)
    return [address, address.kind() === 'ipv4' ? 32 : 128] as [ipaddr.IPv4 | ipaddr.IPv6, number]
  })
  return (address) => {
    if (!ipaddr.isValid(address)) return false
    const asked = ipaddr.process(address)
    return ranges.some((range) => range[0].kind() === asked.kind() && asked.match(range))
  }
}

/**
 * Another gateway's job may be known at its node by the address of that one alone.
 *
 * @throws GatewayFault ERR_NO_NODE where the node does not show it to us
 */
async function requireSight({ asks }: JobDeps, node: TrackedNode, record: JobRecord): Promise<void> {
  const job = { record, bytes: 0 }
  if ((await asks.ask(node, [job])).get(job) === 'known') return
  throw new GatewayFault('ERR_NO_NODE', 'Another gateway follows this job, and its node does not show it to this one', {
    headers: { 'Retry-After': '1' },
  })
}

/** `PUT /api/status`: from a container beside its node, on to the node that has the job. Nodes trust the network we may be on, so strangers stop here. */
export function putStatus(deps: JobDeps, follower: Follower, isAllowed: (address: string) => boolean) {
  return async (req: Request, res: Response): Promise<void> => {
    const context = contextOf(req)
    if (!isAllowed(context.clientAddress)) throw new GatewayFault('ERR_FORBIDDEN')
    const body = await readBody(req, deps.maxBodyBytes)
    const { id, members } = await readStatus(body)
    context.job = id.text
    const live = deps.live.find(id.text)
    const record = live?.record ?? (await deps.ledger.find(id.text))
    if (!record) throw unknownJob(id.text)
    checkStatus(members)
    await deps.whenReady()
    const known = live?.node ?? deps.fleet.find(record.node)
    const node = known ?? deps.fleet.adopt(parseAddress(record.node))
    try {
      if (!live && deps.ledger.shared) await requireSight(deps, node, record)
      const report = {
        method: 'PUT' as const,
        path: `${node.spec.basePath}/api/status`,
        headers: headersForBackend(req, { via: deps.via, contentType: 'application/json' }),
        // The job may run under another id there by now.
        body: withId(body, id, record.nodeJobId),
      }
      const memory = memoryOf(req)
      memory.body.growAnyway(report.body.length)
      const result = await collect(deps.transport, node, report, { memory: memory.answer })
      if (result.kind === 'fault') throw result.fault
      context.node = node.name
      writeAnswer(res, result.answer, node.name)
    } finally {
      if (!known) deps.fleet.release(node)
    }
    if (live) follower.lookSoon(live)
  }
}
