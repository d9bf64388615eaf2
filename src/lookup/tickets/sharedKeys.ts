import { GatewayFault } from '../../faults.ts'
import { type Logger, SHARED_TICKET_KEY } from '../../base/index.ts'
import type { SharedValues } from '../../replicas/index.ts'
import { newKeyPem, type TicketKeys, ticketKeysIn } from './keys.ts'

/** Between two attempts to read the key, ms. */
const RETRY_MS = 500
/** How often the key is compared with that of the store, and put back where the store has lost it, ms. */
const COMPARE_MS = 30_000

/**
 * The key pair that all gateways of a store share, made by the first of them. While it could not be read yet, what needs it fails with
 * a GatewayFault ERR_LEDGER; once it is known the store is needed no more. A store that comes back without it gets it again; should
 * another gateway have set its own by then, that one counts.
 */
export class SharedTicketKeys implements TicketKeys {
  readonly #values: SharedValues
  readonly #logger: Logger
  #pem: string | undefined
  #keys: TicketKeys | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #isReported = false

  private constructor(values: SharedValues, logger: Logger) {
    this.#values = values
    this.#logger = logger
  }

  /** Resolves after the first attempt to read the key, whether it succeeded or not. */
  static async open(values: SharedValues, logger: Logger): Promise<SharedTicketKeys> {
    const keys = new SharedTicketKeys(values, logger)
    await keys.#compare()
    return keys
  }

  get publicKeyPem(): string {
    return this.#known().publicKeyPem
  }

  async sign(text: string): Promise<string> {
    return this.#known().sign(text)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #known(): TicketKeys {
    if (this.#keys) return this.#keys
    throw new GatewayFault('ERR_LEDGER', 'The key of tickets cannot be read at the moment', {
      headers: { 'Retry-After': '5' },
    })
  }

  async #compare(): Promise<void> {
    try {
      const pem = await this.#standing()
      if (pem !== this.#pem) this.#keys = ticketKeysIn(pem)
      this.#pem = pem
      this.#isReported = false
    } catch (error) {
      // An outage of the store is reported by the ledger.
      const isOurs = error instanceof Error && !('code' in error)
      if (isOurs && !this.#isReported) this.#logger.error('ticket key cannot be used', { error })
      this.#isReported ||= isOurs
    }
    if (this.#isClosed) return
    this.#timer = setTimeout(() => void this.#compare(), this.#keys ? COMPARE_MS : RETRY_MS).unref()
  }

  /** The key in the store; ours, or a new one, where it has none. */
  async #standing(): Promise<string> {
    const kept = await this.#values.get(...SHARED_TICKET_KEY)
    return kept?.toString() ?? this.#values.setOnce(...SHARED_TICKET_KEY, this.#pem ?? (await newKeyPem()))
  }
}
