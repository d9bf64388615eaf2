import { withoutQuery } from './paths.ts'

/** An API that generates from text. Each has its own places for the text of prompts and answers. */
export type Dialect = 'chat' | 'completions' | 'responses' | 'messages'

const DIALECTS: ReadonlyMap<string, Dialect> = new Map([
  ['/chat/completions', 'chat'],
  ['/completions', 'completions'],
  ['/responses', 'responses'],
  ['/messages', 'messages'],
])

/** The dialect of a path behind the prefix; undefined where it does not generate from text. */
export function dialectOf(path: string): Dialect | undefined {
  const name = withoutQuery(path)
  // Mostly clients write it as it is.
  return DIALECTS.get(name) ?? DIALECTS.get(name.toLowerCase())
}
