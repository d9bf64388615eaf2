import { exponential, seeded } from './random.ts'

/** Mean service time of a job on the fastest node, seconds: a tenth of the design's, as all times here are. */
export const MEAN_SERVICE_SECONDS = 0.1

type Way = 'job' | 'stream' | 'lookup' | 'outside'

/** One arrival, fixed before the run, so that every contender gets the very same. */
export interface Arrival {
  /** Seconds after the start. */
  readonly at: number
  readonly way: Way
  /** Its container, which is its kind of work. */
  readonly container: string
  /** Seconds of service on the fastest node. */
  readonly size: number
  /** For `outside`: where it goes, uniform in [0, 1). */
  readonly place: number
}

/** Kinds of work, equally frequent: the mean size of each, by its container. */
export type Mix = Readonly<Record<string, number>>

export const ONE_KIND: Mix = { work: 1 }
/** One to ten; the mean is 1. */
export const TWO_KINDS: Mix = { small: 2 / 11, large: 20 / 11 }

export interface ArrivalShape {
  readonly seed: number
  /** Arrivals a second. */
  readonly rate: number
  readonly seconds: number
  /** Share of two-step clients. */
  readonly lookupShare: number
  /** Share of the work that nobody tells the gateway of. */
  readonly outsideShare: number
  /** Share of streams in one-step traffic. */
  readonly streamShare: number
  readonly mix: Mix
}

/** One job in twenty is twenty times as long on the mean; sizes of either kind are exponential. */
const LARGE_SHARE = 0.05
const LARGE_RATIO = 20
const SMALL_MEAN = MEAN_SERVICE_SECONDS / (1 - LARGE_SHARE + LARGE_SHARE * LARGE_RATIO)

/** Open-loop Poisson arrivals: nobody waits for an answer before the next one comes. */
export function arrivalsOf(shape: ArrivalShape): Arrival[] {
  const random = seeded(shape.seed)
  const arrivals: Arrival[] = []
  const kinds = Object.entries(shape.mix)
  for (let at = exponential(random, 1 / shape.rate); at < shape.seconds; at += exponential(random, 1 / shape.rate)) {
    const size = exponential(random, random() < LARGE_SHARE ? SMALL_MEAN * LARGE_RATIO : SMALL_MEAN)
    const [where, how, place] = [random(), random(), random()]
    // Nothing is drawn for a single kind, so that its arrivals are the same as ever.
    const [container, scale] = kinds[kinds.length > 1 ? Math.floor(random() * kinds.length) : 0]!
    arrivals.push({ at, way: wayOf(shape, where, how), container, size: size * scale, place })
  }
  return arrivals
}

function wayOf({ outsideShare, lookupShare, streamShare }: ArrivalShape, where: number, how: number): Way {
  if (where < outsideShare) return 'outside'
  if ((where - outsideShare) / (1 - outsideShare) < lookupShare) return 'lookup'
  return how < streamShare ? 'stream' : 'job'
}
