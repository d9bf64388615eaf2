/** Settings that cannot be used. The message is one line; for each setting or file it says what is allowed, with `; ` between; no secrets. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}
