/** Settings that cannot be used. Each line of the message names one setting or file and what is allowed; no secrets. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}
