/**
 * Loaded before a gateway: names are looked up in the JSON file DNS_TABLE, name → addresses or error code, which a test
 * may rewrite at any time. Names that are not in it are looked up as usual.
 */
import { readFileSync } from 'node:fs'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { isIPv6 } from 'node:net'

const table = process.env['DNS_TABLE']
const usual = dns.promises.lookup

interface Found {
  address: string
  family: number
}

async function lookup(name: string, options: object): Promise<Found[]> {
  const names = JSON.parse(readFileSync(table!, 'utf8')) as Record<string, string[] | string>
  const answer = names[name]
  if (answer === undefined) return usual(name, options) as unknown as Found[]
  if (typeof answer === 'string') throw Object.assign(new Error(`getaddrinfo ${answer} ${name}`), { code: answer })
  return answer.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
}

if (table !== undefined) {
  dns.promises.lookup = lookup as unknown as typeof dns.promises.lookup
  syncBuiltinESMExports()
}
