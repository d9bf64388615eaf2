import { Gauge, type Registry } from 'prom-client'
import { fileReadings, type FileReading } from '../base/fileReadings.ts'

/** Gauges of how the last reading went of each file that a setting names and that is read again when it changes. */
export function addFileReadings(registry: Registry): void {
  const registers = [registry]
  const success = new Gauge({
    name: 'infernet_gateway_file_last_reload_successful',
    help: '1 where the file was read when it last changed; 0 where it was not, by the setting that names it',
    labelNames: ['setting'],
    // Each worker reads the file itself: one that cannot is to be seen.
    aggregator: 'min',
    registers,
  })
  const successTime = new Gauge({
    name: 'infernet_gateway_file_last_reload_success_timestamp_seconds',
    help: 'When the file was last read, seconds since 1970, by the setting that names it',
    labelNames: ['setting'],
    aggregator: 'min',
    registers,
  })
  fileReadings.subscribe((message) => {
    const { setting, isRead } = message as FileReading
    success.set({ setting }, isRead ? 1 : 0)
    if (isRead) successTime.set({ setting }, Math.round(Date.now() / 1000))
  })
}
