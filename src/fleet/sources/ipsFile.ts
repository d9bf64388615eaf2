import { AddressError, parseAddressLine, type NodeSpec } from '../address.ts'
import type { Logger, NodeSource } from './source.ts'
import { WatchedFile } from './watchedFile.ts'

/** Addresses from a file, one a line. A bad line is skipped and logged; a missing file is an empty one, with a warning. */
export class IpsFile implements NodeSource {
  readonly name = 'file'
  readonly #file: WatchedFile
  readonly #logger: Logger

  constructor(path: string, logger: Logger) {
    this.#logger = logger
    this.#file = new WatchedFile(path, (error) =>
      logger.warn('addresses file cannot be read, keeping the last list', { file: path, error }),
    )
  }

  start(onList: (specs: readonly NodeSpec[]) => void): Promise<void> {
    return this.#file.start((text) => {
      if (text === undefined) {
        this.#logger.warn('addresses file is missing, taken as empty', { file: this.#file.path })
      }
      const specs = this.#parse(text ?? '')
      this.#logger.info('addresses file read', { file: this.#file.path, nodes: specs.length })
      onList(specs)
    })
  }

  stop(): void {
    this.#file.stop()
  }

  #parse(text: string): NodeSpec[] {
    const specs: NodeSpec[] = []
    text.split(/\r?\n/).forEach((line, index) => {
      try {
        const spec = parseAddressLine(index === 0 ? line.replace(/^\uFEFF/, '') : line)
        if (spec) specs.push(spec)
      } catch (error) {
        if (!(error instanceof AddressError)) throw error
        this.#logger.warn('bad line in the addresses file, skipped', {
          file: this.#file.path,
          line: index + 1,
          text: line.trim().slice(0, 200),
          reason: error.message,
        })
      }
    })
    return specs
  }
}
