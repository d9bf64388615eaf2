/** A logger that keeps its lines for a test to read. */
import type { Logger } from '../../../src/base/logger.ts'

export interface KeptLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  fields: Record<string, unknown>
}

export function keepLines(): { logger: Logger; lines: KeptLine[] } {
  const lines: KeptLine[] = []
  const writer =
    (level: KeptLine['level']) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, message, fields })
  return {
    lines,
    logger: { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') },
  }
}
