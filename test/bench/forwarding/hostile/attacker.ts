/** Carries out one attack in a process of its own: `node attacker.ts PORT SECONDS NAME`. Prints what it got, by status. */
import { ATTACKS } from './attacks.ts'

const [port, seconds, name = ''] = process.argv.slice(2)
const counts = new Map<string, number>()
const endsAt = performance.now() + Number(seconds) * 1000
const tell = (): void => console.log([...counts].map(([what, count]) => `${count} × ${what}`).join(', '))

// Whatever still waits for an answer must not hold up the next attack.
setTimeout(
  () => {
    tell()
    process.exit(0)
  },
  Number(seconds) * 1000 + 1000,
)
await ATTACKS[name]!({
  port: Number(port),
  isOver: () => performance.now() >= endsAt,
  count: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
})
tell()
process.exit(0)
