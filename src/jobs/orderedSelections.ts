/** How many selections are made of one set of containers: all pipelines of six, or the shorter ones of more. */
const MOST_HASHES = 2_000

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
