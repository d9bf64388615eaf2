/**
 * One end of a channel to another process, which delivers messages in order, or none of them any more. Messages are what
 * structured clones can be made of.
 */
export interface Port {
  send(message: unknown): void
  /** To be called once, before messages can arrive. */
  listen(onMessage: (message: unknown) => void, onClose: () => void): void
}
