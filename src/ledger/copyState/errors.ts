/** A copy that was not made, or not to its end. The message is one line for the operator and holds no secrets. */
export class CopyStateError extends Error {
  override readonly name = 'CopyStateError'
}
