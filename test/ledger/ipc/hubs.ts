/** Ledgers of another process, shared over its channel: one process for all hubs of a test file. */
import { fork, type ChildProcess } from 'node:child_process'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { IpcLedger } from '../../../src/ledger/ipc/client.ts'
import type { LedgerSettings } from '../../../src/ledger/open.ts'
import type { Cleanup } from '../../kit/wait.ts'

type Settings = Omit<LedgerSettings, 'logger'>
export type ToHubs =
  | ['open', hub: number, settings: Settings]
  | ['join', hub: number, port: number]
  | ['close', port: number]
  | ['message', port: number, message: unknown]

const PROCESS = fileURLToPath(new URL('./hubProcess.ts', import.meta.url))

/** A hub in the other process. */
export interface RemoteHub {
  join(): Promise<IpcLedger>
  /** The same, and how to lose the channel. */
  joinWithLoss(): Promise<{ ledger: IpcLedger; lose: () => void }>
}

let child: ChildProcess | undefined
let lastNumber = 0
const listeners = new Map<number, (message: unknown) => void>()

after(() => child?.disconnect())

function hubProcess(): ChildProcess {
  if (child) return child
  child = fork(PROCESS, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.on('message', (message) => {
    const [port, inner] = message as unknown as [number, unknown]
    listeners.get(port)?.(inner)
  })
  return child
}

/** Opens a ledger in the other process. */
export function remoteHub(settings: Partial<Settings> & { url: string }): RemoteHub {
  const hub = ++lastNumber
  const send = (message: ToHubs): void => void hubProcess().send(message)
  send(['open', hub, { maxBytes: 1e9, ttlSeconds: 86_400, ...settings }])
  const joinWithLoss: RemoteHub['joinWithLoss'] = async () => {
    const port = ++lastNumber
    const joined = new Promise((resolve) => listeners.set(port, resolve))
    send(['join', hub, port])
    await joined
    let close = (): void => {}
    const ledger = await IpcLedger.open({
      send: (message) => send(['message', port, message]),
      listen: (onMessage, onClose) => {
        listeners.set(port, onMessage)
        close = onClose
      },
    })
    const lose = (): void => {
      close()
      send(['close', port])
    }
    return { ledger, lose }
  }
  return { joinWithLoss, join: async () => (await joinWithLoss()).ledger }
}

/** A ledger of the other process, for one worker. */
export async function remoteLedger(t: Cleanup, settings: Partial<Settings> & { url: string }): Promise<IpcLedger> {
  const ledger = await remoteHub(settings).join()
  t.after(() => ledger.close())
  return ledger
}
