/** What a fake node is told to write where the time is wanted. */
export const STAMP = '@time'
export const PIECE_BYTES = 64

/** Milliseconds of a clock that all processes of a machine share and nobody sets. */
export function stampMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
