import { exponential, seededRandom } from '../routingSimulation/random.ts'
import { Passage } from './passage.ts'

/** One request of a session. */
export interface Turn {
  /** Seconds between the answer before and this request. */
  readonly thinkSeconds: number
  readonly prompt: Passage
  /** Characters up to the end of the last answer. */
  readonly historyCharacters: number
  /** The prompt and its answer. */
  readonly reply: Passage
  readonly replyTokens: number
  readonly luck: Luck
}

/** What chance decides of a request, whatever the policy does. The first three are in [0, 1). */
interface Luck {
  readonly gateway: number
  readonly streamed: number
  readonly leaves: number
  /** Seconds until the client leaves, if it does. */
  readonly patienceSeconds: number
}

/** Requests that follow each other. */
export interface Session {
  /** In [0, 1]: when it starts, in the time in which all start. */
  readonly startsAt: number
  /** 52 random bits. */
  readonly conversation: number
  readonly turns: readonly Turn[]
}

export interface Plan {
  readonly sessions: readonly Session[]
  readonly work: Work
}

export type WorkloadName = keyof typeof WORKLOADS

const CHARACTERS_PER_TOKEN = 4

/** Makes the sessions of one workload. */
class Author {
  readonly random: () => number
  readonly #text: string
  #passages = 0
  readonly #shared = new Map<string, Passage>()

  constructor(random: () => number) {
    this.random = random
    const units = Array.from({ length: 2 ** 17 }, () => 32 + Math.floor(95 * random()))
    this.#text = String.fromCharCode(...units.slice(0, 2 ** 16)) + String.fromCharCode(...units.slice(2 ** 16))
  }

  /** A new text of the given length. */
  passage(before: Passage | undefined, characters: number): Passage {
    const label = `${++this.#passages}:`
    const length = Math.max(1, Math.round(characters) - label.length)
    const start = Math.floor(this.random() * (this.#text.length - length))
    return new Passage(before, label, this.#text.slice(start, start + length))
  }

  /** The same text each time it is asked for. */
  shared(name: string, characters: number): Passage {
    let passage = this.#shared.get(name)
    if (passage === undefined) this.#shared.set(name, (passage = this.passage(undefined, characters)))
    return passage
  }

  /** A whole number. */
  between(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1))
  }

  /** One of `count`, the first ones more often (by 1, 1/2, 1/3 …). */
  popular(count: number): number {
    let left = this.random() * Array.from({ length: count }, (_, i) => 1 / (i + 1)).reduce((sum, part) => sum + part, 0)
    for (let i = 0; i < count; i++) if ((left -= 1 / (i + 1)) < 0) return i
    return count - 1
  }

  turn(before: Passage | undefined, { history = 0, ask, tokens, think = 0 }: TurnSizes): Turn {
    const prompt = this.passage(before, ask)
    const replyTokens = 1 + Math.round(exponential(this.random, tokens))
    const reply = this.passage(prompt, CHARACTERS_PER_TOKEN * replyTokens)
    const thinkSeconds = exponential(this.random, think)
    return { thinkSeconds, prompt, historyCharacters: history, reply, replyTokens, luck: this.#luck() }
  }

  #luck(): Luck {
    const { random } = this
    return { gateway: random(), streamed: random(), leaves: random(), patienceSeconds: exponential(random, 1) }
  }

  /** Turns that each have all before as their history. */
  turns(opening: Passage, count: number, sizes: () => TurnSizes): Turn[] {
    const turns: Turn[] = []
    for (let i = 0; i < count; i++) {
      const before = turns.at(-1)?.reply
      turns.push(this.turn(before ?? opening, { ...sizes(), history: before?.end ?? 0, ...(i === 0 && { think: 0 }) }))
    }
    return turns
  }
}

interface TurnSizes {
  readonly history?: number
  /** Characters of what is new in the prompt. */
  readonly ask: number
  /** Mean tokens of the answer. */
  readonly tokens: number
  /** Mean seconds before it. */
  readonly think?: number
}

/** What the clients of each workload do. */
export const WORKLOADS = {
  /** Chats of several turns under one of four short system prompts. */
  chats: (author: Author): Turn[] =>
    author.turns(author.shared(`chat ${author.between(1, 4)}`, 1500), author.between(3, 15), () => ({
      ask: author.between(100, 5000),
      tokens: 200,
      think: 10,
    })),
  /** Single questions under one of many long system prompts. */
  'shared prompts': (author: Author): Turn[] => {
    const prompt = `prompt ${author.popular(60)}`
    return [author.turn(author.shared(prompt, 20_000), { ask: author.between(100, 800), tokens: 80 })]
  },
  /** Programs that call tools and come back soon with ever longer histories. */
  agents: (author: Author): Turn[] =>
    author.turns(author.shared(`agent ${author.between(1, 3)}`, 16_000), author.between(10, 25), () => ({
      ask: author.between(300, 7000),
      tokens: 80,
      think: 2,
    })),
  /** Texts that have nothing in common. */
  documents: (author: Author): Turn[] => [author.turn(undefined, { ask: author.between(2000, 40_000), tokens: 150 })],
  /** All the others. */
  mixture: (author: Author): Turn[] => {
    const part = author.random()
    if (part < 0.3) return WORKLOADS.chats(author)
    if (part < 0.6) return WORKLOADS['shared prompts'](author)
    if (part < 0.7) return WORKLOADS.agents(author)
    return WORKLOADS.documents(author)
  },
  /** Most requests have one long beginning in common. */
  'hot prefix': (author: Author): Turn[] => {
    if (author.random() < 0.2) return WORKLOADS.chats(author)
    return [author.turn(author.shared('hot', 40_000), { ask: author.between(100, 1500), tokens: 60 })]
  },
} as const

/**
 * Sessions that start at the moments of a Poisson process.
 *
 * @param requests About how many in all.
 */
export function planOf(workload: WorkloadName, seed: number, requests: number): Plan {
  const author = new Author(seededRandom(seed))
  const seen = new Set<Passage>()
  const sessions: Session[] = []
  const work = { characters: 0, tokens: 0 }
  let startsAt = 0
  for (let count = 0; count < requests;) {
    const turns = WORKLOADS[workload](author)
    for (const turn of turns) addWork(work, turn, seen)
    count += turns.length
    startsAt += exponential(author.random, 1)
    sessions.push({ startsAt, conversation: Math.floor(author.random() * 2 ** 52), turns })
  }
  return { sessions: sessions.map((session) => ({ ...session, startsAt: session.startsAt / startsAt })), work }
}

/** What is to be done if engines have everything in their caches that was there before. */
export interface Work {
  /** To prefill. */
  characters: number
  /** To decode. */
  tokens: number
}

function addWork(work: Work, { prompt, reply, replyTokens }: Turn, seen: Set<Passage>): void {
  for (const passage of prompt.path) if (!seen.has(passage)) work.characters += passage.length
  for (const passage of reply.path) seen.add(passage)
  work.tokens += replyTokens
}
