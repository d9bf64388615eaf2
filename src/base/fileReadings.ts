import { channel } from 'node:diagnostics_channel'

/** A file that a setting names was read because it is new or has changed, or could not be read or understood. */
export interface FileReading {
  /** `IPS_FILE` and the like. */
  readonly setting: string
  readonly isRead: boolean
}

/** Messages are `FileReading`. */
export const fileReadings = channel('infernet-gateway:file:reading')

/** Publishes the outcome of a reading. */
export function tellReading(setting: string, isRead: boolean): void {
  const reading: FileReading = { setting, isRead }
  fileReadings.publish(reading)
}
