/** What a simulated engine is like. Times are those of the simulated world; `timeScale` turns them into real ones. */
export interface EngineOptions {
  readonly host?: string
  /** 0 takes a free one. */
  readonly port?: number
  readonly model?: string
  /** Requests that run at once at most; the others wait, first in, first out. */
  readonly slots?: number
  /** Everything takes that many times less. */
  readonly speed?: number
  /** Real time over simulated time: at 0.1 an answer of ten simulated seconds takes one. */
  readonly timeScale?: number
  /** Time to prefill a prompt: so much for each, and for each token that no cached block holds. */
  readonly prefillMs?: number
  readonly prefillMsPerToken?: number
  /** Time of a decoding step of a single request; it doubles with `stepSlots` more in the batch. */
  readonly stepMs?: number
  readonly stepSlots?: number
  /** Tokens that the prefix cache holds. */
  readonly cacheTokens?: number
}

export type Engine = Required<EngineOptions>

/** The size of a mid-range model on a single accelerator. */
export const ENGINE_DEFAULTS: Engine = {
  host: '127.0.0.1',
  port: 0,
  model: 'org/model',
  slots: 64,
  speed: 1,
  timeScale: 1,
  prefillMs: 25,
  prefillMsPerToken: 0.5,
  stepMs: 60,
  stepSlots: 64,
  cacheTokens: 160_000,
}

/** Characters that count as one token. */
export const TOKEN_CHARACTERS = 4
/** Tokens of a block of the prefix cache. */
export const BLOCK_TOKENS = 16

/** Simulated milliseconds of one decoding step with `running` requests in the batch, at speed 1. */
export function stepMs({ stepMs, stepSlots }: Pick<Engine, 'stepMs' | 'stepSlots'>, running: number): number {
  return stepMs * (1 + (running - 1) / stepSlots)
}

/** Simulated milliseconds of a prompt's prefill at speed 1. */
export function prefillMs(
  { prefillMs, prefillMsPerToken }: Pick<Engine, 'prefillMs' | 'prefillMsPerToken'>,
  uncached: number,
): number {
  return prefillMs + prefillMsPerToken * uncached
}

/** Simulated milliseconds that a token takes of an engine at speed 1 whose batch is full: what it costs where nothing is idle. */
export function tokenMs(engine: Pick<Engine, 'stepMs' | 'stepSlots' | 'slots'>): number {
  return stepMs(engine, engine.slots) / engine.slots
}
