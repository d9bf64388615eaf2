import type { Prompt, PrefixChain } from '../../../src/dispatch/index.ts'
import { ANSWER_LIMITS, scanObject } from '../../../src/json/index.ts'
import { dialectOf } from '../../../src/openai/dialect.ts'
import { promptSteps } from '../../../src/openai/prompt/index.ts'
import { atOnce } from '../../kit/steps.ts'

/** The paths that generate from text, behind their prefix. */
export type Path = '/chat/completions' | '/completions' | '/responses' | '/messages'

export function promptOf(path: string, body: object | string, session?: string): Prompt {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const members = scanObject(bytes, 0, bytes.length, ANSWER_LIMITS)
  const dialect = dialectOf(path)
  if (!dialect) throw new Error(`${path} has no prompt`)
  return atOnce(promptSteps({ dialect, bytes, members, model: 'model', session }))
}

/** What two chains with the same text share. */
export function stateOf({ length, numbers, state }: PrefixChain): unknown {
  return { length, numbers, state }
}

/** As Python's json writes it by default: spaces, and only ASCII. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([name, member]) => `${pythonJson(name)}: ${pythonJson(member)}`)
      .join(', ')}}`
  }
  return JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** As a client writes it whose members come in another order; those of tools' arguments stay as the model wrote them. */
export function reversedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(reversedJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .reverse()
      .map(([name, member]) => `"${name}":${name === 'input' ? JSON.stringify(member) : reversedJson(member)}`)
      .join(',')}}`
  }
  return JSON.stringify(value)
}
