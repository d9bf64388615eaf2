/** What a simulated node is told to write where the time is wanted. */
export const STAMP = '@time'
export const PIECE_BYTES = 64
