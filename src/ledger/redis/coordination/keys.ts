import { createHash } from 'node:crypto'
import { steadyClock } from '../../../base/steadyClock.ts'
import type { KeyTurn, KeyUse, Membership, SharedKeys } from '../../../replicas/index.ts'
import { KEPT_ANSWER_TTL_MS } from '../../ledger.ts'
import type { RedisCalls } from '../connection.ts'
import { defineScript } from '../script.ts'
import { faultOf, mayHaveRun } from './faults.ts'
import type { OwedChanges } from './owedChanges.ts'
import { ROOM_COUNTS } from './roomCounts.ts'

/** A key whose replica lives on but never comes back to it is free after this, ms. */
const RESERVED_MS = 60 * 60 * 1000

/**
 * What the answer under a key is kept as, `a:<this>` (hash, with its date in `t`), and its reservation, `k:<this>` (hash: the replica
 * `o`, the hash of its request's body `h`). The script that keeps the answer deletes the reservation.
 */
export function keyName({ caller, path, key }: KeyUse): string {
  return createHash('sha256').update(`${caller}\n${path}\n${key}`).digest('hex')
}

/**
 * ARGV: name of the key, replica, hash of the body, date before which answers have expired. Returns what is to be done, and the hash
 * of another's body. A replica asks for its own keys one after the other: what it holds still was never released.
 */
const RESERVE = defineScript(`${ROOM_COUNTS}
local name, replica = P .. 'k:' .. ARGV[1], ARGV[2]
if not isAlive(replica) then return whyNot(replica) end
local answeredAt = redis.call('HGET', P .. 'a:' .. ARGV[1], 't')
if answeredAt and tonumber(answeredAt) > tonumber(ARGV[4]) then return {'kept'} end
local holder = redis.call('HGET', name, 'o')
if holder and holder ~= replica and isAlive(holder) then return {'busy', redis.call('HGET', name, 'h')} end
redis.call('HSET', name, 'o', replica, 'h', ARGV[3])
redis.call('PEXPIRE', name, ${RESERVED_MS})
return {'ours'}
`)

/** ARGV: name of the key, replica. */
const RELEASE = defineScript(
  `
local name = P .. 'k:' .. ARGV[1]
if redis.call('HGET', name, 'o') == ARGV[2] then redis.call('DEL', name) end
return 1
`,
  { runsWhenFull: true },
)

/** Idempotency-Keys over all replicas, in Redis. */
export class RedisKeys implements SharedKeys {
  readonly #redis: RedisCalls
  readonly #membership: Pick<Membership, 'self'>
  readonly #owed: OwedChanges
  /** Names of keys that Redis may have reserved for this life of ours without our learning of it. */
  readonly #doubtful = new Set<string>()
  #doubtfulLife = ''

  constructor(redis: RedisCalls, membership: Pick<Membership, 'self'>, owed: OwedChanges) {
    this.#redis = redis
    this.#membership = membership
    this.#owed = owed
  }

  async reserve(use: KeyUse & { bodyHash: Buffer }): Promise<KeyTurn> {
    const { self } = this.#membership
    const name = keyName(use)
    const expiredAt = steadyClock.expiryMs() - KEPT_ANSWER_TTL_MS
    this.#doubtful.delete(name)
    try {
      const reply = await this.#redis.run(RESERVE, [name, self, use.bodyHash, String(expiredAt)])
      const [kind, bodyHash] = reply as readonly Buffer[]
      return bodyHash ? { kind: 'busy', bodyHash } : { kind: kind!.toString() as 'ours' | 'kept' }
    } catch (error) {
      if (mayHaveRun(error)) this.#releaseDoubtful(name, self)
      throw faultOf(error)
    }
  }

  /** Else the client, which tries again by way of another replica, would wait there. When it comes to us again first, that counts. */
  #releaseDoubtful(name: string, replica: string): void {
    if (replica !== this.#doubtfulLife) this.#doubtful.clear()
    this.#doubtfulLife = replica
    this.#doubtful.add(name)
    void this.#owed.do(replica, async () => {
      if (!this.#doubtful.has(name)) return
      await this.#redis.run(RELEASE, [name, replica])
      this.#doubtful.delete(name)
    })
  }

  async release(use: KeyUse): Promise<void> {
    const { self } = this.#membership
    await this.#owed.do(self, () => this.#redis.run(RELEASE, [keyName(use), self]))
  }
}
