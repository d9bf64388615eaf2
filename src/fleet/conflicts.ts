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
