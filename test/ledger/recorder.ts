/**
 * A process that records jobs in the ledger named by its argument, and ends some, until it is killed. A second argument
 * says how many bytes their requests have at least. Writes `opened`, then `inserted ID` and `finished ID` once the ledger has acknowledged it; or `refused MESSAGE`.
 */
import { SqliteLedger } from '../../src/ledger/sqlite/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { DAY_MS, LogLines } from './ledgerKit.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const requestBytes = Number(process.argv[3] ?? 0)

async function recordForever(ledger: SqliteLedger): Promise<never> {
  for (let count = 0; ; count++) {
    const record = aJob()
    await ledger.insert([{ record, request: Buffer.from(`request of ${record.id}`.padEnd(requestBytes)) }])
    say(`inserted ${record.id}`)
    if (count % 2 === 0) continue
    await ledger.finish(record.id, anEnd({ result: Buffer.from(`"result of ${record.id}"`) }))
    say(`finished ${record.id}`)
  }
}

try {
  const ledger = await SqliteLedger.open({
    path: process.argv[2]!,
    maxBytes: 1e9,
    ttlMs: DAY_MS,
    logger: new LogLines(),
  })
  say('opened')
  await Promise.all(Array.from({ length: 20 }, () => recordForever(ledger)))
} catch (error) {
  say(`refused ${(error as Error).message}`)
}
