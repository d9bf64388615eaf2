/** True where a request already passed through the gateway with this `Via` value. */
export function hasPassed(header: string | undefined, via: string): boolean {
  return header !== undefined && header.split(',').some((entry) => entry.trim() === via)
}
