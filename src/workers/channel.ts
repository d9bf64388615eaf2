import type { Serializable } from 'node:child_process'
import type { Port } from '../ledger/ipc/port.ts'

/** The end of the channel between a worker and the primary that is in this process. */
interface Process {
  readonly connected?: boolean
  send?(message: Serializable, onSent: (error: Error | null) => void): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect' | 'exit', listener: () => void): unknown
}

/** Carries the messages of a ledger, which are arrays, and those of `messages.ts`, which are objects. */
export class Channel<In, Out extends object> implements Port {
  readonly #process: Process
  #onLedger: (message: unknown) => void = () => {}

  constructor(process: Process, onMessage: (message: In) => void) {
    this.#process = process
    process.on('message', (message) => {
      if (Array.isArray(message)) this.#onLedger(message)
      else onMessage(message as In)
    })
  }

  send(message: unknown): void {
    this.#send(message, ignore)
  }

  /** Resolves when it has been sent, or cannot be. */
  tell(message: Out): Promise<void> {
    return new Promise((resolve) => this.#send(message, () => resolve()))
  }

  listen(onMessage: (message: unknown) => void, onClose: () => void): void {
    this.#onLedger = onMessage
    let isOpen = true
    const close = (): void => {
      if (isOpen) onClose()
      isOpen = false
    }
    // One that is killed amid a message may end without a `disconnect`.
    for (const event of ['disconnect', 'exit'] as const) this.#process.on(event, close)
  }

  /** What cannot be sent any more is dropped: the other process has ended, of which `disconnect` tells. */
  #send(message: unknown, onSent: () => void): void {
    if (this.#process.connected && this.#process.send) this.#process.send(message as Serializable, onSent)
    else onSent()
  }
}

function ignore(): void {}
