import type { Request } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayFault } from '../faults.ts'
import type { Reservation } from '../base/memory/budget.ts'
import { Collector } from '../base/memory/collector.ts'
import { contextOf } from './context.ts'
import { bodyRefused, memoryOf } from './requestMemory.ts'
import { CODINGS, codingsOf, unpack } from './unpack.ts'

/** A body that is refused is still read this far, so that a client busy sending sees the answer. */
const DRAIN_FACTOR = 4
const LEAST_DRAINED_BYTES = 20_000_000
const DRAIN_SECONDS = 10

/** Compressed data is longer than what it unpacks to by no more than this part and these bytes. */
const MOST_OVERHEAD = 1 / 8
const MOST_OVERHEAD_BYTES = 64 * 1024

const AWAITS_CONTINUE = Symbol('awaits 100 Continue')
type MayAwaitContinue = IncomingMessage & { [AWAITS_CONTINUE]?: ServerResponse }

const BROKEN = Symbol('body broken')
type MayBeBroken = IncomingMessage & { [BROKEN]?: GatewayFault }

/** Requests told to go on with their upload. */
const continued = new WeakSet<IncomingMessage>()
/** Requests whose rest is being read and forgotten. */
const draining = new WeakSet<IncomingMessage>()

/** Remembers that the client waits for `100 Continue`; it is sent when the body is first wanted, so refusals come before the upload. */
export function holdContinue(req: IncomingMessage, res: ServerResponse): void {
  ;(req as MayAwaitContinue)[AWAITS_CONTINUE] = res
}

/**
 * The rest of this body will never come, since what came in its place is not HTTP. The fault becomes the request's answer, if it
 * has none yet.
 */
export function breakBody(req: IncomingMessage, fault: GatewayFault): void {
  ;(req as MayBeBroken)[BROKEN] = fault
  if (req.listenerCount('error') > 0) req.emit('error', fault)
}

/**
 * The whole request body, unpacked. Its room in the memory budget is taken by its `Content-Length` before anything is read,
 * where there is one, else as it arrives or is unpacked. What a decompressor holds besides is no more than what it has put
 * out, since memory that it has not written to is not in use.
 *
 * @throws GatewayFault ERR_BODY_TOO_LARGE over `maxBytes` once unpacked, ERR_BODY_ENCODED, ERR_BAD_ENCODING,
 * ERR_MEMORY_BUDGET, ERR_CLIENT_GONE, or what broke it
 */
export function readBody(req: Request, maxBytes: number): Promise<Buffer> {
  const broken = (req as MayBeBroken)[BROKEN]
  if (broken) return Promise.reject(broken)
  const codings = codingsOf(req.headers['content-encoding'])
  if (!codings) {
    drain(req, maxBytes)
    return Promise.reject(unknownCoding())
  }
  const isPacked = codings.length > 0
  const announced = Number(req.headers['content-length'] ?? 0)
  if (announced > (isPacked ? mostPacked(maxBytes) : maxBytes)) {
    drain(req, maxBytes)
    return Promise.reject(tooLarge(maxBytes))
  }
  const memory = memoryOf(req).body
  // What it unpacks to is counted from there on.
  const reserved = Math.min(announced, maxBytes)
  const refusal = memory.grow(reserved)
  if (refusal) {
    drain(req, maxBytes)
    return Promise.reject(bodyRefused(refusal))
  }
  const held = (req as MayAwaitContinue)[AWAITS_CONTINUE]
  if (held) {
    held.writeContinue()
    continued.add(req)
  }
  return isPacked
    ? collectUnpacked(req, codings, maxBytes, reserved, memory)
    : collectWhole(req, maxBytes, announced, memory)
}

function collectUnpacked(
  req: Request,
  codings: readonly string[],
  maxBytes: number,
  reserved: number,
  memory: Reservation,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body = new Collector(0)
    const refuse = (fault: GatewayFault): void => {
      stop()
      body.free()
      reject(fault)
      drain(req, maxBytes)
    }
    const stop = unpack(req, codings, {
      packed: (bytes) => {
        contextOf(req).bytesIn = bytes
        if (bytes > mostPacked(maxBytes)) refuse(tooLarge(maxBytes))
      },
      data: (piece) => {
        const size = body.size + piece.length
        if (size > maxBytes) return refuse(tooLarge(maxBytes))
        // The room that was taken by the announced length is for the first of it.
        const refusal = size > reserved ? memory.grow(size - Math.max(reserved, body.size)) : undefined
        if (refusal) return refuse(bodyRefused(refusal))
        body.push(piece)
      },
      end: () => resolve(body.take()),
      corrupt: (coding) => refuse(new GatewayFault('ERR_BAD_ENCODING', `The body is not valid ${coding}`)),
    })
    const onGone = (): void => {
      if (req.readableEnded) return
      stop()
      body.free()
      reject((req as MayBeBroken)[BROKEN] ?? new GatewayFault('ERR_CLIENT_GONE'))
    }
    req.on('close', onGone).on('error', onGone)
  })
}

/** Most compressed bytes that may unpack to a body of this size. */
function mostPacked(maxBytes: number): number {
  return maxBytes * (1 + MOST_OVERHEAD) + MOST_OVERHEAD_BYTES
}

function unknownCoding(): GatewayFault {
  return new GatewayFault('ERR_BODY_ENCODED', `Unsupported Content-Encoding; supported, at most two: ${CODINGS}`, {
    headers: { 'Accept-Encoding': CODINGS },
  })
}

/** A body that is still to come, or to be refused. */
interface OpenBody {
  readonly body: Collector
  readonly resolve: (body: Buffer) => void
  readonly reject: (fault: GatewayFault) => void
}

function collectWhole(req: Request, maxBytes: number, announced: number, memory: Reservation): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // The request keeps its listeners until it is gone, which may be long after its body was used: they must not keep that.
    let open: OpenBody | undefined = { body: new Collector(announced), resolve, reject }
    const close = (): OpenBody | undefined => {
      const closed = open
      open = undefined
      return closed
    }
    const fail = (fault: GatewayFault): void => {
      const closed = close()
      closed?.body.free()
      closed?.reject(fault)
    }
    const refuse = (fault: GatewayFault): void => {
      req.off('data', onData)
      fail(fault)
      drain(req, maxBytes)
    }
    const onData = (chunk: Buffer): void => {
      if (!open) return
      const { body } = open
      const size = body.size + chunk.length
      if (size > maxBytes) return refuse(tooLarge(maxBytes))
      const refusal = size > announced ? memory.grow(chunk.length) : undefined
      if (refusal) return refuse(bodyRefused(refusal))
      body.push(chunk)
    }
    const onEnd = (): void => {
      const closed = close()
      if (!closed) return
      contextOf(req).bytesIn = closed.body.size
      closed.resolve(closed.body.take())
    }
    // Whatever comes first settles it; the others then say nothing new, and taking them off would cost more than they do.
    const onGone = (): void => {
      if (!req.readableEnded) fail((req as MayBeBroken)[BROKEN] ?? new GatewayFault('ERR_CLIENT_GONE'))
    }
    req.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone)
  })
}

function tooLarge(maxBytes: number): GatewayFault {
  return new GatewayFault('ERR_BODY_TOO_LARGE', `The body is larger than ${maxBytes} bytes`, {
    params: { max_bytes: maxBytes },
  })
}

/**
 * Ends an answer with this body. Where the connection closes after it while the client is still sending, the body goes out at
 * once but the end waits until the client has sent all, within reason: closing a socket with unread bytes resets it, and the
 * client would lose the answer.
 */
export function endAnswer(res: ServerResponse, body: string): void {
  const { req } = res
  if (!closesConnection(res) || !isStillComing(req) || mayHoldBack(req)) {
    res.end(body)
    return
  }
  res.write(body)
  const end = (): void => void res.end()
  req.on('end', end).on('close', end).on('error', end)
  drain(req, 0)
}

function isStillComing(req: IncomingMessage): boolean {
  return !req.complete && !req.destroyed && !(req as MayBeBroken)[BROKEN]
}

function closesConnection(res: ServerResponse): boolean {
  return !res.shouldKeepAlive || /\bclose\b/i.test(String(res.getHeader('Connection') ?? ''))
}

/** A client that was not told to go on need not send its body. */
function mayHoldBack(req: IncomingMessage): boolean {
  return req.headers.expect !== undefined && !continued.has(req)
}

/** Reads and forgets the rest, up to a bound in size and time; past it the connection is cut. */
function drain(req: IncomingMessage, maxBytes: number): void {
  if (draining.has(req)) return
  draining.add(req)
  let left = Math.max(maxBytes * DRAIN_FACTOR, LEAST_DRAINED_BYTES)
  const timer = setTimeout(() => req.destroy(), DRAIN_SECONDS * 1000)
  timer.unref()
  req.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) req.destroy()
  })
  req.on('close', () => clearTimeout(timer))
  req.on('end', () => clearTimeout(timer))
  req.on('error', () => clearTimeout(timer))
}
