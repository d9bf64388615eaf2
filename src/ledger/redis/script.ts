import { createHash } from 'node:crypto'

/**
 * A Lua script. It sees the prefix of all keys as `P`, its arguments as `ARGV`, and refuses by
 * `return redis.error_reply('CODE text')`; the code becomes that of the RedisError.
 */
export interface Script {
  readonly text: string
  /** By which Redis knows it once it has run. */
  readonly sha: string
}

export interface ScriptOptions {
  /** Whether a full Redis runs it: for what makes room, or must go on. */
  readonly runsWhenFull?: boolean
  /** A script that only reads runs on a full Redis, and on one that takes no writes. */
  readonly isReadOnly?: boolean
}

/**
 * Makes a script of its body. Without the first line Redis would decide by the script's first command whether it runs while
 * the memory is full.
 */
export function defineScript(body: string, { runsWhenFull, isReadOnly }: ScriptOptions = {}): Script {
  const flags = isReadOnly ? ' flags=no-writes' : runsWhenFull ? ' flags=allow-oom' : ''
  const text = `#!lua${flags}\nlocal P = KEYS[1]\n${body}`
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
