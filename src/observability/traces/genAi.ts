import type { Attributes, Span } from '@opentelemetry/api'
import type { Served } from '../../openai/forward.ts'

/*
 * The semantic conventions of OpenTelemetry for calls of models. They are not stable yet, so that the package has no names of
 * theirs for production: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 */

/** What a call at the end of a path asks a model to do. */
const OPERATIONS: readonly (readonly [end: string, operation: string])[] = [
  ['/chat/completions', 'chat'],
  ['/messages', 'chat'],
  ['/responses', 'chat'],
  ['/completions', 'text_completion'],
  ['/embeddings', 'embeddings'],
]

/** The name of a call of a model, such as `chat org/model`, and its attributes; undefined where it generates nothing. */
export function modelCall(path: string, model: string): { name: string; attributes: Attributes } | undefined {
  const [plain = ''] = path.split('?', 1)
  const operation = OPERATIONS.find(([end]) => plain.endsWith(end))?.[1]
  if (operation === undefined) return undefined
  const provider = plain.endsWith('/messages') ? 'anthropic' : 'openai'
  const attributes = {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': provider,
    // The name of the same before version 1.37 of the conventions.
    'gen_ai.system': provider,
    'gen_ai.request.model': model,
  }
  return { name: `${operation} ${model}`, attributes }
}

/** Adds what the answer said of itself. */
export function noteAnswer(span: Span, { usage, answer }: Served): void {
  const model = answer.model()
  if (model !== undefined) span.setAttribute('gen_ai.response.model', model)
  if (!usage) return
  span.setAttribute('gen_ai.usage.input_tokens', usage.promptTokens)
  span.setAttribute('gen_ai.usage.output_tokens', usage.completionTokens)
}
