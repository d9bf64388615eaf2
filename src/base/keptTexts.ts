/** The settings that name files which are followed through changes, and whose last good text stays in force. */
export type KeptFile = 'IPS_FILE' | 'SERVICES_FILE' | 'KEYS_FILE'

/** The last good texts of files, beyond the life of a worker: one that replaces another must not know less because a file is broken by now. */
export interface KeptTexts {
  /** The last good text; undefined where none was kept. */
  last(file: KeptFile): string | undefined
  keep(file: KeptFile, text: string): void
}
