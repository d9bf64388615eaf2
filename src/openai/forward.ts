import type { Request, Response } from 'express'
import type { EventEmitter } from 'node:events'
import type { Fleet } from '../fleet/index.ts'
import { kindAtPath, type Lease, type Requirement, requireModel, type Selector } from '../dispatch/index.ts'
import { contextOf, memoryOf, readBody } from '../http/index.ts'
import { type Forwarder, headersForBackend, RetryBudget, type StreamTap } from '../upstream/index.ts'
import { nowOrInTurns } from '../base/index.ts'
import { dialectOf } from './dialect.ts'
import { FirstToken } from './firstToken.ts'
import { noService } from './models.ts'
import { pathWithoutPrefix, withoutQuery } from './paths.ts'
import { promptSteps, ReplyWatch, sessionOf } from './prompt/index.ts'
import { requestSteps } from './requestBody.ts'
import { onlyGenerates, secondTries } from './secondTries.ts'
import { headersFor, pathAt } from './serviceCall.ts'
import type { ResponseHomes } from './responses/homes.ts'
import { ResponseIdWatch } from './responses/idWatch.ts'
import { atHome, homeIsDown, homeOf, requireService } from './responses/place.ts'
import type { Spending, Spent } from './spending.ts'
import { UsageWatch, type Usage } from './usage.ts'

/** More of a session's name than this is not looked at: it is hashed for each service. */
const MAX_SESSION = 1000

/** Tells of every request that a service answered to its end. */
export interface Served {
  readonly model: string
  /** The name of the service. */
  readonly service: string
  readonly caller: string
  readonly firstByteSeconds: number
  /** From sending it to the service to the first token; undefined where the answer was no stream of events. */
  readonly firstTokenSeconds: number | undefined
  readonly seconds: number
  /** Whether the service was believed to have part of the prompt in its cache; undefined where nothing was believed. */
  readonly isWarm: boolean | undefined
  readonly usage: Usage | undefined
  /** What was seen of the answer. */
  readonly answer: UsageWatch
}

export interface OpenAiDeps {
  readonly fleet: Fleet
  readonly selector: Selector
  readonly forwarder: Forwarder
  readonly maxBodyBytes: number
  readonly via: string
  /** Resolves once services are known, or rejects with ERR_NOT_READY. */
  readonly whenReady: () => Promise<void>
  readonly events: EventEmitter<{ served: [Served] }>
  /** Where responses are that were made by way of this gateway. */
  readonly homes: ResponseHomes
  /** Charges callers who have a number of tokens a minute; undefined where none can have one. */
  readonly spending?: Spending | undefined
}

/**
 * Forwards `POST /v1/…` (or its short path) to the best healthy service with the body's model, or the one that the path names;
 * answers are streamed untouched.
 */
export function forwardOpenAi(deps: OpenAiDeps) {
  const budget = new RetryBudget()
  return async (req: Request, res: Response): Promise<void> => {
    const path = pathWithoutPrefix(req)
    const dialect = dialectOf(path)
    // Only the paths of Azure's SDKs name it.
    const pathModel = req.params['model'] as string | undefined
    const bytes = await readBody(req, deps.maxBodyBytes)
    const contentType = req.headers['content-type']
    // Mostly at once, and then without a turn of promises.
    const read = nowOrInTurns(requestSteps(bytes, contentType, pathModel))
    const request = read instanceof Promise ? await read : read
    const { model, isBackground, previousResponse, body } = request
    const session = sessionOf(request, bytes, req.headers)?.slice(0, MAX_SESSION)
    if (!deps.fleet.isReady) await deps.whenReady()
    const context = contextOf(req)
    context.model = model
    const headers = headersForBackend(req, { via: deps.via, contentType: contentType ?? 'application/json' })
    const usage = new UsageWatch()
    const firstToken = new FirstToken()
    /** Of the last try. */
    let cacheUse: Lease['cacheUse']
    const mayRunTwice = onlyGenerates(path, isBackground)
    const { caller } = context
    const home =
      previousResponse === undefined ? undefined : await homeOf(previousResponse, caller, deps.homes, deps.fleet)
    const remember =
      dialect === 'responses' && ((nodeKey: string, id: string): void => deps.homes.remember(id, { nodeKey, caller }))
    budget.requested()
    const itsKind = requireModel(model)
    const { members } = request
    // What builds on another response does not tell its history, and the end of work in the background is not seen.
    const isChosenByPrompt =
      members && dialect && !isBackground && previousResponse === undefined && deps.selector.choosesByPrompt(itsKind)
    const reading = isChosenByPrompt
      ? nowOrInTurns(promptSteps({ dialect, bytes, members, model, session }))
      : undefined
    const prompt = reading instanceof Promise ? await reading : reading
    const reserving = deps.spending?.begin(res, caller, { path, dialect, bytes, members, isBackground })
    const spent = reserving instanceof Promise ? await reserving : reserving
    const forwarding = deps.forwarder.forward(req, res, {
      requirement: home ? both(requireService(home), itsKind) : itsKind,
      caller,
      priority: context.priority,
      kind: kindAtPath(itsKind, withoutQuery(path)),
      model,
      session,
      prompt,
      cooldownKey: `openai ${model} ${caller}`,
      requestFor: (node) => ({
        method: 'POST',
        path: pathAt(node, path),
        headers: headersFor(node, path, headers),
        body: body.withModel(node.models.nameFor(model) ?? model),
      }),
      retry: {
        mayRunTwice: mayRunTwice || req.headers['idempotency-key'] !== undefined,
        followsPushback: true,
        elsewhere: secondTries(model, {
          mayRunTwice,
          budget,
          mayLackPrevious: previousResponse !== undefined && !home,
        }),
      },
      tap: (lease) => {
        lease.meter = usage
        cacheUse = lease.cacheUse
        const reply = cacheUse && prompt && dialect && new ReplyWatch(prompt, dialect, memoryOf(req).answer)
        if (cacheUse) cacheUse.reply = reply
        spent?.tried()
        return tapFor({ usage, firstToken, cacheUse, reply, spent }, remember && ((id) => remember(lease.node.key, id)))
      },
      noNode: () => (home ? homeIsDown(home) : noService(deps.fleet, model)),
    })
    const ended = home ? atHome(home, forwarding) : forwarding
    const { how, node } = await (spent ? spent.settledBy(ended, usage) : ended)
    if (how !== 'complete' || res.statusCode >= 400) return
    const { firstByteSeconds = 0, servedSince = 0, startedAt } = context
    deps.events.emit('served', {
      model,
      service: node?.name ?? '',
      caller,
      firstByteSeconds,
      firstTokenSeconds: firstToken.at > 0 ? (firstToken.at - servedSince) / 1000 : undefined,
      seconds: (performance.now() - startedAt) / 1000,
      isWarm: cacheUse && cacheUse.warmCharacters > 0,
      usage: usage.usage(),
      answer: usage,
    })
  }
}

/** What looks at an answer as it passes. */
interface Watches {
  readonly usage: UsageWatch
  readonly firstToken: FirstToken
  readonly cacheUse: Lease['cacheUse']
  readonly reply: ReplyWatch | undefined
  readonly spent: Spent | undefined
}

/** Answers go on as they come, unless `elsewhere` holds them back. */
function tapFor(watches: Watches, tellId: ((id: string) => void) | false): StreamTap {
  const { usage, firstToken, cacheUse, reply, spent } = watches
  let ids: ResponseIdWatch | undefined
  const takes: StreamTap['takes'] = (status, headers) => {
    const contentType = headers['content-type']
    firstToken.begin(status, contentType)
    spent?.answers(contentType)
    if (status < 300) {
      if (tellId) ids = new ResponseIdWatch(contentType, tellId)
      if (headers['content-encoding'] === undefined) reply?.begin(contentType)
    }
    return true
  }
  const watch = (chunk: Buffer): void => {
    usage.see(chunk)
    if (firstToken.see(chunk)) cacheUse?.firstToken()
    ids?.see(chunk)
    reply?.see(chunk)
    spent?.see(chunk)
  }
  return { takes, watch }
}

/** Fits what both fit. */
function both(a: Requirement, b: Requirement): Requirement {
  return { key: `${a.key} ${b.key}`, kind: a.kind, fits: (node) => a.fits(node) && b.fits(node) }
}
