/** Loaded before a program, see `wallClock`: `Date` is off by what stands in the file TEST_CLOCK_FILE, ms, read at every look. */
import { readFileSync } from 'node:fs'

const TrueDate = Date
const file = process.env['TEST_CLOCK_FILE'] ?? ''
let offset = 0

function now(): number {
  // Empty while it is being written.
  offset = Number(readFileSync(file, 'utf8') || offset)
  return TrueDate.now() + offset
}

// Called without `new` it is a function, which a class cannot be.
globalThis.Date = new Proxy(TrueDate, {
  construct: (_target, args: [], newTarget) =>
    Reflect.construct(TrueDate, args.length === 0 ? [now()] : args, newTarget) as object,
  apply: () => new TrueDate(now()).toString(),
  get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
})
