import { keccak_256 } from '@noble/hashes/sha3.js'

/*
 * A delegated subscription does not list its containers: `subscription.containers` is the keccak-256 of the Ethereum
 * ABI encoding of one string, the container ids in order, joined by commas. To know who can serve it, the hashes of all
 * pipelines that a node could run are made and looked through.
 */

/** How many hashes are made for one set of containers: all pipelines of six, or the shorter ones of more. */
const MOST_HASHES = 2_000
/** How many sets of containers keep their hashes: 64 sets of 2,000 take some 30 MB. */
const MOST_SETS = 64

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

/** Every ordered selection of different ids, those of fewest ids first, but no more than `bound` of them. */
export function* orderedSelections(ids: readonly string[], bound = MOST_HASHES): Generator<readonly string[]> {
  const distinct = [...new Set(ids)]
  let made = 0
  // Those of one length more are the previous ones with each id behind them that they do not have yet.
  let longest: Iterable<readonly string[]> = [[]]
  for (let length = 1; length <= distinct.length; length++) {
    const selections: (readonly string[])[] = []
    for (const shorter of longest) {
      for (const id of distinct) {
        if (shorter.includes(id)) continue
        if (made++ >= bound) return
        const selection = [...shorter, id]
        selections.push(selection)
        yield selection
      }
    }
    longest = selections
  }
}

/**
 * Which of the ids the hash names, in their order, in any case and with or without `0x`; undefined where it names none
 * of the first `bound` selections. The hashes of a set of ids are made once and kept while the set is among those
 * asked for last, since making 2,000 takes some 25 ms.
 */
export function containersOf(hash: string, ids: readonly string[], bound = MOST_HASHES): readonly string[] | undefined {
  const canonical = canonicalHash(hash)
  return canonical === undefined ? undefined : hashesOf(ids, bound).get(canonical)
}

const kept = new Map<string, ReadonlyMap<string, readonly string[]>>()

function hashesOf(ids: readonly string[], bound: number): ReadonlyMap<string, readonly string[]> {
  const key = JSON.stringify([bound, [...ids].sort()])
  const hashes =
    kept.get(key) ?? new Map([...orderedSelections([...ids].sort(), bound)].map((s) => [hashContainers(s), s]))
  kept.delete(key)
  kept.set(key, hashes)
  if (kept.size > MOST_SETS) kept.delete(kept.keys().next().value!)
  return hashes
}
