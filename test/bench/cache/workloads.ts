import type { Conversation, Kind, Make, Message } from './conversations.ts'
import type { Draw, Range } from './draw.ts'

export type WorkloadName = 'chats' | 'shared' | 'agents' | 'documents' | 'mixture' | 'hot'

export interface Workload {
  readonly name: WorkloadName
  readonly title: string
  readonly kind: Kind
  /** Arriving work over what the engines can do if they cached all; with real caches they are 70 to 75 % busy. */
  readonly load: number
}

const SHORT_ANSWER: Range = [30, 130]

const user = (content: string): Message => ({ role: 'user', content })
const system = (content: string): Message => ({ role: 'system', content })

/** People who chat: each conversation is its own from the beginning. */
const chats: Kind = (draw) => () => {
  const first = draw.whole([200, 1500])
  const turns = Array.from({ length: draw.whole([3, 8]) }, (_, i) => ({
    says: [user(draw.text(i === 0 ? first : draw.whole([40, 250])))],
    outputTokens: draw.whole([60, 240]),
    thinkSeconds: draw.exponential(6),
  }))
  return { shared: { messages: [] }, turns }
}

/** Single questions to 100 applications, each with a long system prompt of its own, some far more popular than others. */
const sharedPrompts: Kind = (draw) => {
  const prompts = Array.from({ length: 100 }, () => [system(draw.text(draw.whole([1000, 8000])))])
  return () => question(draw, prompts[draw.popular(prompts.length, 0.8)]!, [40, 300])
}

/** Agents of six kinds: long descriptions of tools, then many steps with what tools gave, soon after each other. */
const agents: Kind = (draw) => {
  const kinds = Array.from({ length: 6 }, () => ({
    tools: [tool(draw.text(draw.whole([500, 2500]))), tool(draw.text(draw.whole([500, 2500])))],
    messages: [system(draw.text(draw.whole([1000, 3000])))],
  }))
  return () => ({
    shared: kinds[draw.popular(kinds.length, 0.5)]!,
    turns: Array.from({ length: draw.whole([6, 16]) }, (_, i) => ({
      says: [i === 0 ? user(draw.text(draw.whole([200, 1500]))) : toolResult(i, draw.text(draw.whole([200, 1800])))],
      outputTokens: draw.whole(SHORT_ANSWER),
      thinkSeconds: draw.exponential(1.5),
    })),
  })
}

/** Documents that are sent once: nothing can be warm. */
const documents: Kind = (draw) => () => question(draw, [], [800, 5000])

/** All of these. */
const mixture: Kind = (draw) => {
  const makers = [chats, sharedPrompts, agents, documents].map((kind) => kind(draw)) as [Make, Make, Make, Make]
  return () => {
    const which = draw.next()
    return makers[which < 0.25 ? 0 : which < 0.65 ? 1 : which < 0.72 ? 2 : 3]()
  }
}

/** One long prompt that seven in eight share: more than a single engine can take. */
const hotPrefix: Kind = (draw) => {
  const hot = [system(draw.text(6000))]
  return () => (draw.next() < 7 / 8 ? question(draw, hot, [40, 300]) : question(draw, [], [500, 2000]))
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'chats', title: 'multi-turn chats', kind: chats, load: 0.69 },
  { name: 'shared', title: 'shared system prompts', kind: sharedPrompts, load: 0.63 },
  { name: 'agents', title: 'agents', kind: agents, load: 0.63 },
  { name: 'documents', title: 'random documents', kind: documents, load: 0.7 },
  { name: 'mixture', title: 'mixture of these', kind: mixture, load: 0.68 },
  { name: 'hot', title: 'one hot prefix', kind: hotPrefix, load: 0.7 },
]

function question(draw: Draw, messages: readonly Message[], size: Range): Conversation {
  const says = [user(draw.text(draw.whole(size)))]
  return { shared: { messages }, turns: [{ says, outputTokens: draw.whole(SHORT_ANSWER), thinkSeconds: 0 }] }
}

function tool(description: string): object {
  return { type: 'function', function: { name: 'tool', description, parameters: { type: 'object', properties: {} } } }
}

function toolResult(step: number, content: string): Message {
  return { role: 'tool', content, tool_call_id: `call_${step}` }
}
