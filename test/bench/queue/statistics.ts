export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** `NaN` of none, as for the others here. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length
}

/** The value that a share of all are at most, such as 0.99. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Jain's index: 1 where all values are equal, 1/n where one of n has everything. */
export function jain(values: readonly number[]): number {
  return sum(values) ** 2 / (values.length * sum(values.map((value) => value ** 2)))
}

/** The largest difference between the shares that values have of their sum and those that are due by `weights`. */
export function worstShareGap(values: readonly number[], weights: readonly number[]): number {
  const gaps = values.map((value, i) => Math.abs(value / sum(values) - weights[i]! / sum(weights)))
  return Math.max(...gaps)
}
