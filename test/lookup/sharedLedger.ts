/** What look-ups need of a ledger: numbers, and small values that gateways share. */
import type { Ledger } from '../../src/ledger/ledger.ts'
import type { SharedValues } from '../../src/replicas/coordination.ts'

type NumbersAndValues = Pick<Ledger, 'nextReqnum' | 'shared'>

/** In memory, and away on command. */
export function sharedLedger({ isShared = false } = {}): NumbersAndValues & { isAway: boolean } {
  const numbers = new Map<string, number>()
  const kept = new Map<string, Buffer>()
  const answer = <T>(work: () => T): Promise<T> =>
    ledger.isAway ? Promise.reject(new Error('away')) : Promise.resolve(work())
  const values: Pick<SharedValues, 'get' | 'set' | 'delete'> = {
    get: (name, key) => answer(() => kept.get(`${name} ${key}`)),
    set: (name, key, value) => answer(() => void kept.set(`${name} ${key}`, Buffer.from(value as string))),
    delete: (name, key) => answer(() => void kept.delete(`${name} ${key}`)),
  }
  const nextReqnum = async (worker: string): Promise<number> => {
    const number = (numbers.get(worker) ?? 0) + 1
    numbers.set(worker, number)
    return number
  }
  const shared = isShared ? ({ coordination: { values } } as unknown as Ledger['shared']) : undefined
  const ledger = { isAway: false, nextReqnum, shared }
  return ledger
}
