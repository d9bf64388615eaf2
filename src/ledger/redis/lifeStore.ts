import type { LifeStore, SeenReplica } from '../../replicas/index.ts'
import type { RedisCalls } from './connection.ts'
import { BEAT, BURY } from './scripts/life.ts'

interface LifeStoreOptions extends Pick<LifeStore, 'writeAgain' | 'renewConnection'> {
  readonly onCounted: (jobs: number, bytes: number) => void
  /** Called after each beat: Redis may take writes again. */
  readonly probe: () => Promise<unknown>
}

type Row = readonly [replica: Buffer, number: Buffer | null, jobs: number, isLeaving: number, goneMs: number]

/** Beats and burials in Redis. */
export function lifeStoreOf(redis: RedisCalls, options: LifeStoreOptions): LifeStore {
  const { onCounted, probe, writeAgain, renewConnection } = options
  return {
    writeAgain,
    renewConnection,
    beat: async (replica, isLeaving, deadlineMs) => {
      const reply = await redis.run(BEAT, [replica, isLeaving ? '1' : '0'], { deadlineMs })
      const [number, jobs, bytes, rows] = reply as unknown as [number, number, number, readonly Row[]]
      onCounted(jobs, bytes)
      void probe()
      return { number, replicas: rows.map(seenReplica) }
    },
    bury: async (replica, number = '') => {
      await redis.run(BURY, [replica, number])
    },
  }
}

function seenReplica([replica, number, jobs, isLeaving, goneMs]: Row): SeenReplica {
  const name = String(replica)
  if (number === null) return { replica: name, jobs, state: 'gone', goneMs }
  return { replica: name, number: String(number), jobs, state: isLeaving === 1 ? 'leaving' : 'alive' }
}
