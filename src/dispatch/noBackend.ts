/** No backend that meets the requirement can take the request now. */
export class NoBackendAvailable extends Error {
  override readonly name = 'NoBackendAvailable'
  /** Least seconds until one of those that cool down may be asked again, or 0 if none does. */
  readonly cooldownSeconds: number

  constructor(cooldownSeconds: number) {
    super('No backend can take the request')
    this.cooldownSeconds = cooldownSeconds
  }
}
