/**
 * One end of a channel to another process. Messages arrive in order; after the channel has closed, none do. Their values must be
 * ones that the structured clone algorithm can copy.
 */
export interface Port {
  send(message: unknown): void
  /** To be called once, before messages can arrive. */
  listen(onMessage: (message: unknown) => void, onClose: () => void): void
}
