/** `seconds` ± 10 %, so that gateways and nodes do not fall into step. */
export function jittered(seconds: number, random: () => number = Math.random): number {
  return seconds * (0.9 + 0.2 * random())
}
