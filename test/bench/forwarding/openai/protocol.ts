/** What the service of the benchmark and its clients agree on. */

export const CHAT_PATH = '/v1/chat/completions'
export const MODEL = 'bench-model'
export const EVENTS_PER_SECOND = 50

/** The body of every request: some 600 bytes. */
export function chatBody(stream: boolean): string {
  return JSON.stringify({ model: MODEL, stream, messages: [{ role: 'user', content: 'x'.repeat(500) }] })
}

/** The moment at which an event was written, in its own text. */
export function eventAt(ms: number): string {
  const head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000'
  const choices = '"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]'
  return `data: {${head},"model":"${MODEL}",${choices},"at":${ms.toFixed(3)}}\n\n`
}

export const AT = /"at":(\d+\.\d+)\}\n\n/g
