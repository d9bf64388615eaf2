import { once } from 'node:events'
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { SqliteLog } from '../log.ts'
import { socketPathOf, WORDS } from './channel.ts'

/** While a copy is made everything goes to the log. A copy that takes longer than this allows is given up. */
const MAX_HELD_LOG_BYTES = 1024 * 1024 * 1024
const LOOK_EVERY_MS = 1000

export interface BackupSource {
  readonly path: string
  readonly log: SqliteLog
  /** Whether the file is no longer in its place. */
  isGone(): boolean
  /** Writes a copy of the whole database, which takes the thread until it is done. */
  writeCopy(target: string): void
}

/** The gateway's end of `--backup`, in the thread that owns the database. One copy is made at a time. */
export class BackupServer {
  readonly #source: BackupSource
  readonly #server: Server
  readonly #waiting: Socket[] = []
  #served: Socket | undefined
  #watching: NodeJS.Timeout | undefined

  constructor(source: BackupSource) {
    this.#source = source
    this.#server = createServer((socket) => this.#arrived(socket)).unref()
  }

  /** Settles with what to warn of where no backup can be asked for. The ledger's lock must be held: then a socket that is there is a leftover. */
  async listen(): Promise<string | undefined> {
    const { path } = this.#source
    const socketPath = socketPathOf(path)
    if (socketPath === undefined) return `--backup works only while the gateway is stopped: ${path} is too long a path`
    try {
      rmSync(socketPath, { force: true })
      this.#server.listen(socketPath)
      await once(this.#server, 'listening')
      chmodSync(socketPath, 0o600)
      return undefined
    } catch (error) {
      return `--backup works only while the gateway is stopped: ${(error as Error).message}`
    }
  }

  /** Gives up copies under way; the log may be copied into the file from then on. */
  close(): void {
    this.#server.close()
    this.#served?.destroy()
    for (const socket of this.#waiting) socket.destroy()
    this.#release()
  }

  #arrived(socket: Socket): void {
    socket.unref()
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#left(socket))
    this.#waiting.push(socket)
    this.#serveNext()
  }

  #serveNext(): void {
    if (this.#served) return
    const socket = this.#waiting.shift()
    if (!socket) return
    this.#served = socket
    createInterface({ input: socket }).on('line', (line) => {
      if (this.#served === socket) this.#received(socket, line)
    })
  }

  #received(socket: Socket, line: string): void {
    if (line.startsWith(WORDS.backup)) {
      socket.write(`${this.#begin(line.slice(WORDS.backup.length))}\n`)
    } else if (line === WORDS.copied && this.#watching) {
      socket.end(`${WORDS.consistent}\n`)
      this.#release()
    } else {
      socket.destroy()
    }
  }

  #begin(target: string): string {
    const { log } = this.#source
    if (this.#source.isGone()) return this.#write(target)
    if (!log.checkpoint()) return `${WORDS.failed}the gateway cannot write to its ledger at the moment`
    log.hold()
    this.#watching = setInterval(() => {
      if (log.bytes > MAX_HELD_LOG_BYTES) this.#served?.destroy()
    }, LOOK_EVERY_MS).unref()
    return WORDS.copy
  }

  /** Nothing can be recorded at that time, so the thread may take its time. */
  #write(target: string): string {
    try {
      this.#source.writeCopy(target)
      return WORDS.written
    } catch (error) {
      return WORDS.failed + (error as Error).message
    }
  }

  #left(socket: Socket): void {
    const place = this.#waiting.indexOf(socket)
    if (place >= 0) this.#waiting.splice(place, 1)
    if (this.#served !== socket) return
    this.#served = undefined
    this.#release()
    this.#serveNext()
  }

  #release(): void {
    clearInterval(this.#watching)
    this.#watching = undefined
    this.#source.log.release()
  }
}
