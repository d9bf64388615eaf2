/** A simulated OpenAI-compatible service. */
export type { FakeOpenAiOptions } from './options.ts'
export { FakeOpenAi, startFakeOpenAi } from './fakeOpenAi.ts'
