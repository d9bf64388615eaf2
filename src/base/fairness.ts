/**
 * Jain's index of what each has got: (Σx)² / (n·Σx²), 1 where all got the same and 1/n where one got all. Undefined for fewer than two,
 * or where none got anything.
 */
export function jainIndex(shares: readonly number[]): number | undefined {
  const sum = shares.reduce((all, share) => all + share, 0)
  const squares = shares.reduce((all, share) => all + share * share, 0)
  return shares.length < 2 || squares === 0 ? undefined : (sum * sum) / (shares.length * squares)
}
