import type { IncomingMessage } from 'node:http'
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  type BrotliDecompress,
  type Gunzip,
  type Inflate,
  type ZstdDecompress,
} from 'node:zlib'

type Decompressor = Gunzip | Inflate | BrotliDecompress | ZstdDecompress

/** Bytes that a decompressor puts out at once: each piece is a trip to another thread. */
const PIECE_BYTES = 64 * 1024
/** Largest window of zstd, as a power of two: 8 MB (RFC 9659, 3). */
const ZSTD_WINDOW_LOG = 23
/** Codings that one body may have, each around the one before. */
const MOST_CODINGS = 2

const DECOMPRESSORS: Readonly<Record<string, () => Decompressor>> = {
  gzip: () => createGunzip({ chunkSize: PIECE_BYTES }),
  deflate: () => createInflate({ chunkSize: PIECE_BYTES }),
  br: () => createBrotliDecompress({ chunkSize: PIECE_BYTES }),
  zstd: () =>
    createZstdDecompress({
      chunkSize: PIECE_BYTES,
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
    }),
}

/** The codings that bodies may have, as `Accept-Encoding` lists them. */
export const CODINGS = Object.keys(DECOMPRESSORS).join(', ')

/** The codings of a body in the order in which they were applied (RFC 9110, 8.4); undefined where they are not accepted. */
export function codingsOf(header: string | undefined): readonly string[] | undefined {
  if (header === undefined || header === '') return []
  const codings = header
    .toLowerCase()
    .split(',', MOST_CODINGS + 10)
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
    // RFC 9110, 8.4.1.3: the same as gzip.
    .map((coding) => (coding === 'x-gzip' ? 'gzip' : coding))
  return codings.length <= MOST_CODINGS && codings.every((coding) => Object.hasOwn(DECOMPRESSORS, coding))
    ? codings
    : undefined
}

/** Receives the unpacked body. No method is called after `stop`. */
export interface UnpackListener {
  /** Compressed bytes that have arrived so far. */
  packed(bytes: number): void
  data(piece: Buffer): void
  end(): void
  /** The body is not of this coding: other bytes, cut off, or followed by more. */
  corrupt(coding: string): void
}

/** Unpacks a body as it arrives, no faster than the listener's own turn takes it. Returns what stops it. */
export function unpack(req: IncomingMessage, codings: readonly string[], listener: UnpackListener): () => void {
  const stages = codings.map((coding) => new Stage(coding)).reverse()
  let isOver = false
  const stop = (): void => {
    if (isOver) return
    isOver = true
    const [first] = stages
    if (first) req.unpipe(first.stream)
    for (const { stream } of stages) stream.destroy()
    // `unpipe` paused the request, and adding a listener later does not resume it.
    req.resume()
  }
  const corrupt = (coding: string): void => {
    if (isOver) return
    stop()
    listener.corrupt(coding)
  }
  req.on('data', (chunk: Buffer) => {
    if (isOver) return
    const [first] = stages
    if (!first) return
    first.fedBytes += chunk.length
    listener.packed(first.fedBytes)
  })
  stages.forEach((stage, i) => {
    const { stream, coding } = stage
    const next = stages[i + 1]
    stream.on('error', () => corrupt(coding))
    stream.on('data', (piece: Buffer) => {
      if (isOver) return
      if (next) next.fedBytes += piece.length
      else listener.data(piece)
    })
    stream.on('end', () => {
      // What follows the end of the compressed data is passed over by all but gzip.
      if (stream.bytesWritten < stage.fedBytes) return corrupt(coding)
      if (next || isOver) return
      isOver = true
      listener.end()
    })
    if (next) stream.pipe(next.stream)
  })
  const [first] = stages
  if (first && !isOver) req.pipe(first.stream)
  return stop
}

/** One coding of a body, taken off. */
class Stage {
  readonly coding: string
  readonly stream: Decompressor
  /** Compressed bytes that it was given. */
  fedBytes = 0

  constructor(coding: string) {
    this.coding = coding
    this.stream = (DECOMPRESSORS[coding] as () => Decompressor)()
  }
}
