import type { TrackedNode } from './node.ts'

/** One container id that stands for different images on different nodes: a misconfiguration that nobody else notices. */
export interface ImageConflict {
  readonly container: string
  /** Node names by image. */
  readonly images: Readonly<Record<string, readonly string[]>>
}

/** Finds container ids with more than one image among these nodes. Nodes that tell no image have no say. */
export function findImageConflicts(nodes: Iterable<TrackedNode>): ImageConflict[] {
  const byContainer = new Map<string, Map<string, string[]>>()
  for (const node of nodes) {
    for (const { id, image } of node.containers.values()) {
      if (image === '') continue
      const images = byContainer.get(id) ?? new Map<string, string[]>()
      byContainer.set(id, images)
      const names = images.get(image) ?? []
      images.set(image, names)
      names.push(node.name)
    }
  }
  return [...byContainer]
    .filter(([, images]) => images.size > 1)
    .map(([container, images]) => ({ container, images: Object.fromEntries(images) }))
}

/** A change is looked at with those of the second that follows it: a fleet that starts changes with every poll. */
const PATIENCE_MS = 1000

/** Keeps the conflicts of a fleet, and tells of each once: when a container gets another set of images. */
export class ConflictWatch {
  readonly #nodes: () => Iterable<TrackedNode>
  readonly #onConflict: (conflict: ImageConflict) => void
  #current: readonly ImageConflict[] = []
  #told = new Set<string>()
  #isStale = false
  #timer: NodeJS.Timeout | undefined

  constructor(nodes: () => Iterable<TrackedNode>, onConflict: (conflict: ImageConflict) => void) {
    this.#nodes = nodes
    this.#onConflict = onConflict
  }

  /** All conflicts as of now. */
  get current(): readonly ImageConflict[] {
    if (this.#isStale) this.#look()
    return this.#current
  }

  /** Some node's containers, or the nodes themselves, are others now. */
  changed(): void {
    this.#isStale = true
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#isStale) this.#look()
    }, PATIENCE_MS).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#isStale = false
    this.#current = findImageConflicts(this.#nodes())
    const before = this.#told
    this.#told = new Set(this.#current.map(identity))
    for (const conflict of this.#current) if (!before.has(identity(conflict))) this.#onConflict(conflict)
  }
}

/** Without the nodes: one more node with a known image is no news. */
function identity({ container, images }: ImageConflict): string {
  return JSON.stringify([container, ...Object.keys(images).sort()])
}
