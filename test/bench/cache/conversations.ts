import { prefillMs, tokenMs, TOKEN_CHARACTERS, type Engine } from '../../kit/fakeEngine/index.ts'
import { Draw } from './draw.ts'

export interface Message {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Of a tool's message. */
  readonly tool_call_id?: string
}

/** What a client sends after the answer before, and how much it asks for. */
export interface Turn {
  readonly says: readonly Message[]
  readonly outputTokens: number
  /** Simulated seconds from the end of the answer before. */
  readonly thinkSeconds: number
}

/** Turns that follow each other, each with all that was said before. */
export interface Conversation {
  /** What others begin with as well. */
  readonly shared: { readonly tools?: readonly object[]; readonly messages: readonly Message[] }
  readonly turns: readonly Turn[]
}

/** A conversation and when it begins, simulated seconds after the start. */
export interface Arrival {
  readonly at: number
  readonly conversation: Conversation
}

/** Makes conversations of one kind, one after the other. */
export type Make = () => Conversation

/** How conversations of a kind are made from what a seed gives; what they share is drawn first. */
export type Kind = (draw: Draw) => Make

/** Simulated seconds that an answer takes in about; for how many conversations are under way at the start. */
const USUAL_ANSWER_SECONDS = 5
/** Conversations from which the mean work is reckoned. */
const SAMPLE = 400

export interface Arriving {
  readonly kind: Kind
  readonly seed: number
  /** Work that arrives over what all engines can do, if caches held all that was ever said. */
  readonly load: number
  readonly engines: readonly Engine[]
  /** Simulated seconds of arrivals. */
  readonly seconds: number
  /** Simulated seconds within which those begin again that were under way at the start. */
  readonly startSeconds: number
}

/** Conversations that begin at the random moments of a Poisson process; at the start as many are under way as are later. */
export function arrivalsOf({ kind, seed, load, engines, seconds, startSeconds }: Arriving): Arrival[] {
  const speed = engines.reduce((sum, engine) => sum + engine.speed, 0)
  const sample = sampled(kind(new Draw(1)), engines[0]!)
  const rate = (load * speed * 1000) / sample.workMs
  const draw = new Draw(seed)
  const make = kind(draw)
  const arrivals: Arrival[] = []
  for (let left = Math.round(rate * sample.followingSeconds); left > 0; left--) {
    const { shared, turns } = make()
    const [first, ...following] = turns
    // Of turns that lie behind it, all but the first is left out.
    const rest = following.slice(Math.floor(draw.next() * following.length))
    arrivals.push({ at: draw.next() * startSeconds, conversation: { shared, turns: [first!, ...rest] } })
  }
  for (let at = draw.exponential(1 / rate); at < seconds; at += draw.exponential(1 / rate)) {
    arrivals.push({ at, conversation: make() })
  }
  return arrivals.sort((one, other) => one.at - other.at)
}

/** Means over some conversations: work of an engine at speed 1, and how long they go on after their first answer. */
function sampled(make: Make, engine: Engine): { workMs: number; followingSeconds: number } {
  let [workMs, followingSeconds] = [0, 0]
  for (let i = 0; i < SAMPLE; i++) {
    const { turns } = make()
    for (const { says, outputTokens } of turns) {
      workMs += prefillMs(engine, tokensOf(says)) + outputTokens * tokenMs(engine)
    }
    for (const { thinkSeconds } of turns.slice(1)) followingSeconds += thinkSeconds + USUAL_ANSWER_SECONDS
  }
  return { workMs: workMs / SAMPLE, followingSeconds: followingSeconds / SAMPLE }
}

function tokensOf(messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + content.length, 0) / TOKEN_CHARACTERS
}
