import type { Request, Response } from 'express'
import { GatewayFault } from '../faults.ts'
import { type Fleet, namesOf, type ServiceModels } from '../fleet/index.ts'
import { sendJson } from '../http/index.ts'
import { inTurns, type Steps } from '../base/index.ts'

export interface ModelsDeps {
  readonly fleet: Fleet
  /** Resolves once services are known, or rejects with ERR_NOT_READY. */
  readonly whenReady: () => Promise<void>
}

/** `GET /models` and `GET /models/{id}`. */
export interface ModelPages {
  readonly list: (req: Request, res: Response) => Promise<void>
  readonly one: (req: Request, res: Response) => Promise<void>
}

/** What healthy services have, each entry as its service lists it. */
export function modelPages({ fleet, whenReady }: ModelsDeps): ModelPages {
  const catalog = new Catalog(fleet)
  return {
    list: async (_req, res) => {
      await whenReady()
      await sendJson(res, listParts(await catalog.entries()))
    },
    one: async (req, res) => {
      await whenReady()
      // A wildcard's segments, each decoded once; the last is empty behind a slash at the end.
      const id = (req.params['id'] as unknown as readonly string[]).join('/').replace(/\/$/, '')
      const entries = await catalog.entries()
      const found = namesOf(id).find((name) => entries.has(name))
      if (found === undefined) throw modelNotFound(id)
      await sendJson(res, [entries.get(found) as string])
    },
  }
}

/** The fault for a model that no listed service has, nor might have. */
function modelNotFound(model: string): GatewayFault {
  const shown = model.slice(0, 500)
  return new GatewayFault(
    'ERR_MODEL_NOT_FOUND',
    `The model '${shown}' does not exist; GET /v1/models lists those that do`,
  )
}

/** The fault where no healthy service has a model: not for now, or not at all. */
export function noService(fleet: Fleet, model: string): GatewayFault {
  for (const { spec, models } of fleet.nodes.values()) {
    if (spec.kind !== 'openai' || (models.isComplete && models.nameFor(model) === undefined)) continue
    return new GatewayFault('ERR_NO_SERVICE', `No healthy services available for model '${model.slice(0, 500)}'`)
  }
  return modelNotFound(model)
}

/** Entries by name, sorted. Where several services have one name, the first of the list wins. */
class Catalog {
  readonly #fleet: Fleet
  /** What the entries were made of: replaced, never changed. */
  #sources: readonly ServiceModels[] = []
  #entries: ReadonlyMap<string, string> = new Map()

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  async entries(): Promise<ReadonlyMap<string, string>> {
    const sources = this.#fleet.healthy('openai').map(({ models }) => models)
    const isSame = sources.length === this.#sources.length && sources.every((one, i) => one === this.#sources[i])
    if (isSame) return this.#entries
    const entries = await inTurns(mergeSteps(sources))
    this.#sources = sources
    this.#entries = entries
    return entries
  }
}

function* mergeSteps(sources: readonly ServiceModels[]): Steps<ReadonlyMap<string, string>> {
  const merged = new Map<string, string>()
  for (const { entries } of sources) {
    for (const [name, json] of entries) if (!merged.has(name)) merged.set(name, json)
    yield
  }
  const names = [...merged.keys()].sort()
  return new Map(names.map((name) => [name, merged.get(name) as string]))
}

function* listParts(entries: ReadonlyMap<string, string>): Generator<string> {
  let separator = '{"object":"list","data":['
  if (entries.size === 0) yield separator
  for (const json of entries.values()) {
    yield separator + json
    separator = ','
  }
  yield ']}'
}
