import { inTurns, type Steps } from '../base/turns.ts'
import type { TrackedNode } from './node.ts'

/** One container id that stands for different images on different nodes: a misconfiguration that nobody else notices. */
export interface ImageConflict {
  readonly container: string
  /** Node names by image. */
  readonly images: Readonly<Record<string, readonly string[]>>
}

/** Conflicts that are kept with their images and names, of all that there are. */
export interface ImageConflicts {
  /** How many container ids stand for different images. */
  readonly count: number
  /** The first of them. */
  readonly named: readonly ImageConflict[]
}

/** Conflicts that are named, images of one that are, and nodes of one image: a hostile fleet has millions. */
const MOST_CONFLICTS = 100
const MOST_IMAGES = 20
const MOST_NODES = 50

/** What is remembered of a container while the nodes are gone through. */
interface Seen {
  readonly image: string
  hasOthers: boolean
}

/** Finds container ids with more than one image among these nodes. Nodes that tell no image have no say. */
function* findImageConflicts(nodes: readonly TrackedNode[]): Steps<ImageConflicts> {
  const seen = new Map<string, Seen>()
  const conflicting = new Set<string>()
  for (const node of nodes) {
    for (const { id, image } of node.containers.values()) {
      if (image === '') continue
      const first = seen.get(id)
      if (!first) seen.set(id, { image, hasOthers: false })
      else if (first.image !== image && !first.hasOthers) {
        first.hasOthers = true
        conflicting.add(id)
      }
    }
    yield
  }
  const named: ImageConflict[] = []
  for (const container of conflicting) {
    if (named.length === MOST_CONFLICTS) break
    named.push(yield* conflictOf(container, nodes))
  }
  return { count: conflicting.size, named }
}

function* conflictOf(container: string, nodes: readonly TrackedNode[]): Steps<ImageConflict> {
  const images = new Map<string, string[]>()
  for (const node of nodes) {
    const image = node.containers.get(container)?.image ?? ''
    const names = images.get(image)
    if (image === '') continue
    if (names) {
      if (names.length < MOST_NODES) names.push(node.name)
    } else if (images.size < MOST_IMAGES) images.set(image, [node.name])
  }
  yield
  return { container, images: Object.fromEntries(images) }
}

/** A change is looked at with those of the second that follows it: a fleet that starts changes with every poll. */
const PATIENCE_MS = 1000

/** New conflicts that are reported one by one; beyond that only their number is. */
const MOST_TOLD = 10

export interface ConflictListener {
  /** A container has got another set of images. */
  found(conflict: ImageConflict): void
  /** So many more have. */
  foundMore(count: number): void
}

/** Keeps the conflicts of a fleet, and tells of each once: when a container gets another set of images. */
export class ConflictWatch {
  readonly #nodes: () => Iterable<TrackedNode>
  readonly #listener: ConflictListener
  #found: ImageConflicts = { count: 0, named: [] }
  #told = new Set<string>()
  #toldCount = 0
  #isStale = false
  /** Settles when the look that is under way has ended. */
  #look: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(nodes: () => Iterable<TrackedNode>, listener: ConflictListener) {
    this.#nodes = nodes
    this.#listener = listener
  }

  /** All conflicts as of now. */
  async current(): Promise<ImageConflicts> {
    if (this.#isStale) await (this.#look ??= this.#lookNow())
    return this.#found
  }

  /** Some node's containers, or the nodes themselves, are others now. */
  changed(): void {
    this.#isStale = true
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.current()
    }, PATIENCE_MS).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  async #lookNow(): Promise<void> {
    this.#isStale = false
    this.#found = await inTurns(findImageConflicts([...this.#nodes()]))
    this.#look = undefined
    this.#tell(this.#found)
  }

  #tell({ count, named }: ImageConflicts): void {
    const before = this.#told
    this.#told = new Set(named.map(identity))
    const news = named.filter((conflict) => !before.has(identity(conflict)))
    for (const conflict of news.slice(0, MOST_TOLD)) this.#listener.found(conflict)
    const unnamed = Math.max(0, count - named.length - this.#toldCount)
    this.#toldCount = Math.max(0, count - named.length)
    const more = Math.max(0, news.length - MOST_TOLD) + unnamed
    if (more > 0) this.#listener.foundMore(more)
  }
}

/** Without the nodes: one more node with a known image is no news. */
function identity({ container, images }: ImageConflict): string {
  return JSON.stringify([container, ...Object.keys(images).sort()])
}
