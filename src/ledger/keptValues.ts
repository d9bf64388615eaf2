/** Longest value, bytes. */
const MAX_KEPT_VALUE_BYTES = 256 * 1024

/**
 * Small values that are kept beside the jobs, by names that the code gives: a handful, so only their length is bounded. They have no
 * end, survive a restart wherever jobs do, and are the same for all gateways that share the ledger. Every call rejects with
 * ERR_LEDGER while the store cannot do it.
 */
export interface KeptValues {
  get(name: string): Promise<Buffer | undefined>
  /** @throws RangeError if the value is longer than MAX_KEPT_VALUE_BYTES */
  set(name: string, value: Buffer | string): Promise<void>
  delete(name: string): Promise<void>
  /**
   * Sets a value where the one that stands has these bytes, or there is none and `undefined` is expected; false, and nothing is set,
   * where it was changed meanwhile. So a value that several gateways change loses no change: read it, and try again after a false.
   *
   * @throws RangeError if the value is longer than MAX_KEPT_VALUE_BYTES
   */
  replace(name: string, expected: Buffer | undefined, value: Buffer | string): Promise<boolean>
  /** All names that have a value, in no order. */
  names(): Promise<string[]>
}

/** The bytes of a value. @throws RangeError if they are too many */
export function keptBytesOf(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value as string)
  if (bytes.length > MAX_KEPT_VALUE_BYTES) {
    throw new RangeError(`A kept value has ${MAX_KEPT_VALUE_BYTES} bytes at most, not ${bytes.length}`)
  }
  return bytes
}
