import { keccak_256 } from '@noble/hashes/sha3.js'

/** The hash by which a subscription names these containers, in this order: `0x` and 64 lower-case digits. */
export function hashContainers(ids: readonly string[]): string {
  return `0x${Buffer.from(keccak_256(abiEncodedString(ids.join(',')))).toString('hex')}`
}

/** `abi.encode(string)`: the offset of the text, its length in bytes, and its bytes padded to whole words of 32. */
function abiEncodedString(text: string): Uint8Array {
  const length = Buffer.byteLength(text)
  const encoded = Buffer.alloc(64 + Math.ceil(length / 32) * 32)
  encoded.writeUInt32BE(32, 28)
  encoded.writeUInt32BE(length, 60)
  encoded.write(text, 64)
  return encoded
}

/** A hash as `hashContainers` spells it, from any case, with or without `0x`; undefined where it is no such hash. */
export function canonicalHash(hash: string): string | undefined {
  return /^(0x)?[0-9a-f]{64}$/i.test(hash) ? `0x${hash.slice(-64).toLowerCase()}` : undefined
}
