/** Longer texts, which only a client makes up, are worked out anew each time. */
const LONGEST = 64

/** A function of a short text that remembers its last results; past `most` it forgets all. */
export function remembered(work: (text: string) => string, most = 1000): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    if (text.length > LONGEST) return work(text)
    // Part of a text, such as of a header, would keep the whole of it in memory.
    const copy = Buffer.from(text).toString()
    const result = work(copy)
    if (known.size >= most) known.clear()
    known.set(copy, result)
    return result
  }
}
