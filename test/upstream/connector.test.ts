/** Names that stand for an IPv6 and an IPv4 address, of which not both answer. */
import assert from 'node:assert/strict'
import { createServer, type LookupFunction, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { createConnector } from '../../src/upstream/connector.ts'
import { freePort, type Cleanup } from '../kit/wait.ts'

const IPV6 = { address: '::1', family: 6 }
const IPV4 = { address: '127.0.0.1', family: 4 }

const skip = await freePort('::1').then(
  () => false,
  () => 'there is no IPv6 here',
)

/** A name with both addresses, the first one first, as the system's look-up would tell it. */
function name(...addresses: readonly { address: string; family: number }[]): LookupFunction {
  return (_name, { all, family }, callback) => {
    const fit = addresses.filter((one) => !family || one.family === family)
    if (all) callback(null, [...fit])
    else callback(null, fit[0]!.address, fit[0]!.family)
  }
}

async function listening(t: Cleanup, host: string, port: number): Promise<Server> {
  const server = createServer((socket) => socket.resume())
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  t.after(() => server.close())
  return server
}

const closed = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve))

/** Connects, and returns the family of who answered, or else the error's code; keeps no connection. */
function connecting(port: number, lookup: LookupFunction): () => Promise<string | undefined> {
  const connect = createConnector({ timeoutMs: 10_000, lookup })
  const options = { hostname: 'name.test', protocol: 'http:', port: String(port) }
  return () =>
    new Promise((resolve) => {
      connect(options, (error: NodeJS.ErrnoException | null, socket: Socket | null) => {
        const family = socket?.remoteFamily
        socket?.destroy()
        resolve(error ? error.code : family)
      })
    })
}

test('a name is reached under whichever address answers, whatever its family and place', { skip }, async (t) => {
  for (const { address, family } of [IPV4, IPV6]) {
    const port = await freePort('127.0.0.1', '::1')
    await listening(t, address, port)
    for (const order of [name(IPV6, IPV4), name(IPV4, IPV6)]) {
      assert.equal(await connecting(port, order)(), `IPv${family}`)
    }
  }
})

test('the family that answered first is kept, although the preferred one answers too later', { skip }, async (t) => {
  const port = await freePort('127.0.0.1', '::1')
  await listening(t, '127.0.0.1', port)
  const connect = connecting(port, name(IPV6, IPV4))
  assert.equal(await connect(), 'IPv4')
  await listening(t, '::1', port)
  assert.deepEqual(await Promise.all([connect(), connect()]), ['IPv4', 'IPv4'])
})

test('a kept family that refuses is kept no longer', { skip }, async (t) => {
  const port = await freePort('127.0.0.1', '::1')
  const server = await listening(t, '127.0.0.1', port)
  const connect = connecting(port, name(IPV6, IPV4))
  assert.equal(await connect(), 'IPv4')
  await closed(server)
  await listening(t, '::1', port)
  assert.equal(await connect(), 'ECONNREFUSED')
  assert.equal(await connect(), 'IPv6')
})

test('connections made at once are of one family, even if both answer', { skip }, async (t) => {
  const port = await freePort('127.0.0.1', '::1')
  await listening(t, '127.0.0.1', port)
  await listening(t, '::1', port)
  let asked = 0
  // Each look-up tells the addresses in another order, as name servers do.
  const turning: LookupFunction = (...args) => (asked++ % 2 === 0 ? name(IPV6, IPV4) : name(IPV4, IPV6))(...args)
  const connect = connecting(port, turning)
  const families = await Promise.all([connect(), connect(), connect(), connect()])
  assert.equal(new Set(families).size, 1, families.join())
  assert.match(families[0]!, /^IPv[46]$/)
})
