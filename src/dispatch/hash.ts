/** FNV-1a over UTF-16 units with a final mix, so that similar texts fall far apart. 32 bits, unsigned. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mixed32(hash) >>> 0
}

/** Spreads each bit over all (the final mix of MurmurHash3). 32 bits, signed. */
export function mixed32(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
