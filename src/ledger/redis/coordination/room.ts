import type { Membership, NoRoom, Room, RoomLimits, SharedRoom } from '../../../replicas/index.ts'
import type { RedisCalls } from '../connection.ts'
import { defineScript } from '../script.ts'
import { faultOf, mayHaveRun } from './faults.ts'
import type { OwedChanges } from './owedChanges.ts'
import { ROOM_COUNTS } from './roomCounts.ts'

const REASONS: readonly NoRoom['reason'][] = ['jobs', 'bytesOfCaller', 'bytesInAll']

/**
 * ARGV: replica, limit key, jobs and bytes wanted, most jobs of a caller, most bytes of a caller, most bytes in all. Returns nothing
 * where all of it was taken, else the number of the reason, and the jobs and bytes of the limit key.
 */
const TAKE = defineScript(`${ROOM_COUNTS}
local replica, key = ARGV[1], ARGV[2]
if not isAlive(replica) then return whyNot(replica) end
local function count(hash, field) return tonumber(redis.call('HGET', P .. hash, field) or 0) end
local jobs, bytes, all = count('open', key), count('obytes', key), count('tot', 'obytes')
for _, other in ipairs(redis.call('HKEYS', P .. 'beats')) do
  jobs = jobs + count('x:' .. other, key)
  bytes = bytes + count('y:' .. other, key)
  all = all + count('y:' .. other, '')
end
local moreJobs, moreBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local most, mostBytes, mostInAll = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if most > 0 and jobs + moreJobs > most then return {0, jobs, bytes} end
if moreBytes > 0 and bytes + moreBytes > mostBytes then return {1, jobs, bytes} end
if moreBytes > 0 and all + moreBytes > mostInAll then return {2, jobs, bytes} end
addHeld(replica, key, moreJobs, moreBytes)
return {}
`)

/** ARGV: replica, limit key, jobs, bytes. A replica that is dead has nothing any more. */
const GIVE_BACK = defineScript(
  `${ROOM_COUNTS}
addHeld(ARGV[1], ARGV[2], -ARGV[3], -ARGV[4])
return 1
`,
  { runsWhenFull: true },
)

/** Room for unfinished jobs over all replicas, in Redis. */
export class RedisRoom implements SharedRoom {
  readonly #redis: RedisCalls
  readonly #membership: Pick<Membership, 'self'>
  readonly #owed: OwedChanges

  constructor(redis: RedisCalls, membership: Pick<Membership, 'self'>, owed: OwedChanges) {
    this.#redis = redis
    this.#membership = membership
    this.#owed = owed
  }

  get life(): string {
    return this.#membership.self
  }

  async take(key: string, wanted: Room, limits: RoomLimits): Promise<NoRoom | undefined> {
    const { self } = this.#membership
    const most = [limits.jobsOfCaller, limits.bytesOfCaller, limits.bytesInAll]
    const numbers = [wanted.jobs, wanted.bytes, ...most].map(String)
    try {
      const [reason, jobs, bytes] = (await this.#redis.run(TAKE, [self, key, ...numbers])) as number[]
      if (reason === undefined) return undefined
      return { reason: REASONS[reason]!, taken: { jobs: jobs!, bytes: bytes! } }
    } catch (error) {
      // Redis may have done it all the same. Too little counted for a moment is better than too much until this replica ends.
      if (mayHaveRun(error)) this.#giveBack(self, key, wanted)
      throw faultOf(error)
    }
  }

  giveBack(key: string, room: Room): void {
    // With a life that is over everything is gone that it held. What is known to be its own must not be taken off another's.
    const { self } = this.#membership
    if (room.life === undefined || room.life === self) this.#giveBack(self, key, room)
  }

  #giveBack(replica: string, key: string, { jobs, bytes }: Room): void {
    void this.#owed.do(replica, () => this.#redis.run(GIVE_BACK, [replica, key, String(jobs), String(bytes)]))
  }
}
