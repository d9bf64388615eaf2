import { Fifo } from '../../base/fifo.ts'
import type { RedisArgument } from './connection.ts'

/** Redis may lose its last second, and a replica that takes over a little more. */
const KEPT_MS = 10_000
const CAPACITY_BYTES = 32 * 1024 * 1024
const LENGTH_BYTES = 4

interface Group {
  readonly start: number
  readonly end: number
  readonly writtenAt: number
}

/**
 * What was written within the last ten seconds, for a Redis that loses it. Kept as bytes in one ring: as objects they would cost more
 * in garbage collection than all the rest of a job.
 */
export class RecentChanges {
  #ring: Buffer | undefined
  #next = 0
  readonly #groups = new Fifo<Group>()

  add(operations: readonly (readonly RedisArgument[])[]): void {
    const size = operations.reduce((sum, operation) => sum + sizeOf(operation), 0)
    // A single long one must not push all others out.
    if (size === 0 || size > CAPACITY_BYTES / 4) return
    this.#ring ??= Buffer.allocUnsafeSlow(CAPACITY_BYTES)
    if (this.#next + size > CAPACITY_BYTES) this.#next = 0
    const group = { start: this.#next, end: this.#next + size, writtenAt: performance.now() }
    this.#makeRoom(group)
    for (const operation of operations) this.#write(this.#ring, operation)
    this.#groups.push(group)
  }

  /** The operations, oldest first. */
  operations(): RedisArgument[][] {
    const found: RedisArgument[][] = []
    const since = performance.now() - KEPT_MS
    for (const { start, end, writtenAt } of this.#groups) {
      for (let at = start; at < end && writtenAt >= since;) {
        const operation: RedisArgument[] = []
        at = readInto(operation, this.#ring!, at)
        found.push(operation)
      }
    }
    return found
  }

  #makeRoom({ start, end, writtenAt }: Group): void {
    for (;;) {
      const oldest = this.#groups.first
      if (!oldest) return
      const isOverwritten = oldest.start < end && start < oldest.end
      if (!isOverwritten && writtenAt - oldest.writtenAt <= KEPT_MS) return
      this.#groups.shift()
    }
  }

  #write(ring: Buffer, operation: readonly RedisArgument[]): void {
    let at = ring.writeUInt32LE(operation.length, this.#next)
    for (const argument of operation) {
      const from = at + LENGTH_BYTES
      const length = typeof argument === 'string' ? ring.write(argument, from) : argument.copy(ring, from)
      ring.writeUInt32LE(length, at)
      at = from + length
    }
    this.#next = at
  }
}

function sizeOf(operation: readonly RedisArgument[]): number {
  let size = LENGTH_BYTES
  for (const argument of operation) size += LENGTH_BYTES + Buffer.byteLength(argument)
  return size
}

/** Returns where the next operation begins. The bytes are copies: the ring goes on. The name and the mode are text. */
function readInto(operation: RedisArgument[], ring: Buffer, start: number): number {
  const count = ring.readUInt32LE(start)
  let at = start + LENGTH_BYTES
  for (let index = 0; index < count; index++) {
    const from = at + LENGTH_BYTES
    at = from + ring.readUInt32LE(at)
    const bytes = ring.subarray(from, at)
    operation.push(index < 2 ? bytes.toString() : Buffer.from(bytes))
  }
  return at
}
