/** An address where connecting takes forever: neither accepted nor refused. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Cleanup } from './wait.ts'

// It listens with the shortest queue there is, and then never comes back to accept what waits there.
const LISTENER = `
  const server = require('node:net').createServer().listen({ port: Number(process.argv[1]), host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

/** Milliseconds within which a connection on loopback is there, or waits for good. */
const CONNECTS_MS = 300
const MOST_IN_QUEUE = 20

/**
 * Returns `host:port` of a listener whose queue is full: the kernel drops further attempts to connect. Linux only.
 * Port 0 takes a free one.
 */
export async function unconnectable(t: Cleanup, wantedPort = 0): Promise<string> {
  const child = spawn(process.execPath, ['-e', LISTENER, String(wantedPort)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const fillers: Socket[] = []
  t.after(() => {
    for (const socket of fillers) socket.destroy()
    child.kill('SIGKILL')
  })
  const [said] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error('the listener ended')
    }),
  ])) as [Buffer]
  const port = Number(said.toString())
  while (fillers.length < MOST_IN_QUEUE) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    fillers.push(socket)
    if (!(await isConnectedSoon(socket))) return `127.0.0.1:${port}`
  }
  throw new Error('the queue of the listener never filled')
}

function isConnectedSoon(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    // After a stall the timer comes before the event of a connection that has long been there: that is let through first.
    const giveUp = (): unknown => setImmediate(() => setImmediate(resolve, false))
    const timer = setTimeout(giveUp, CONNECTS_MS)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
