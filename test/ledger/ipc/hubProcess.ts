/** A process that opens ledgers and shares them: the other end of `hubs.ts`. */
import { openLedger } from '../../../src/ledger/open.ts'
import { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import { MemberServer } from '../../../src/ledger/ipc/server.ts'
import { LogLines } from '../ledgerKit.ts'
import type { ToHubs } from './hubs.ts'

const hubs = new Map<number, Promise<WorkerHub>>()
const ports = new Map<number, { onMessage: (message: unknown) => void; onClose: () => void }>()

const toParent = (message: unknown): void => void process.send!(message)

async function join(hub: number, port: number): Promise<void> {
  const member = (await hubs.get(hub)!).join()
  new MemberServer(member, {
    send: (message) => toParent([port, message]),
    listen: (onMessage, onClose) => ports.set(port, { onMessage, onClose }),
  })
  toParent([port, 'joined'])
}

process.on('message', (message: ToHubs) => {
  const [kind] = message
  if (kind === 'open') {
    const [, hub, settings] = message
    hubs.set(
      hub,
      openLedger({ ...settings, logger: new LogLines() }).then((ledger) => WorkerHub.open(ledger)),
    )
  } else if (kind === 'join') {
    const [, hub, port] = message
    void join(hub, port)
  } else if (kind === 'close') {
    const [, port] = message
    ports.get(port)?.onClose()
  } else {
    const [, port, inner] = message
    ports.get(port)?.onMessage(inner)
  }
})
process.on('disconnect', () => process.exit())
