/*
 * The OpenAI-compatible paths that are known by name: routes, second tries and the OpenAPI description are derived from this
 * table. Data alone, so that any module may import it. Every other `POST /v1/…` is forwarded too.
 */

export interface ForwardedPath {
  /** Behind the prefix that differs between services. */
  readonly path: string
  readonly operationId: string
  readonly summary: string
  /** Forwarded without `/v1` as well. */
  readonly hasShortForm?: true
  /** Described below `/openai/deployments/{model}` as well, for clients of Azure's SDKs. */
  readonly hasDeploymentForm?: true
  /** Done twice it costs work, and changes nothing. */
  readonly onlyGenerates?: true
  /** The route that it belongs to, where that takes more than this path. */
  readonly route?: string
  readonly isForm?: true
  readonly answersFile?: true
}

const short = { hasShortForm: true, onlyGenerates: true } as const
const deployed = { ...short, hasDeploymentForm: true } as const
const audio = { route: '/audio/*path' } as const
const images = { route: '/images/*path' } as const

export const FORWARDED_PATHS: readonly ForwardedPath[] = [
  { path: '/chat/completions', operationId: 'chat', summary: 'Chat', ...deployed },
  { path: '/completions', operationId: 'complete', summary: 'Completions', ...deployed },
  { path: '/embeddings', operationId: 'embed', summary: 'Embeddings', ...deployed },
  { path: '/responses', operationId: 'respond', summary: 'Responses', ...short },
  { path: '/messages', operationId: 'message', summary: 'Messages', ...short },
  { path: '/rerank', operationId: 'rerank', summary: 'Reranking', ...short },
  { path: '/score', operationId: 'score', summary: 'Scores of similarity', ...short },
  { path: '/tokenize', operationId: 'tokenize', summary: 'Tokens of a text', ...short },
  {
    ...{ path: '/messages/count_tokens', operationId: 'countTokens', summary: 'Number of tokens of messages' },
    onlyGenerates: true,
  },
  { path: '/moderations', operationId: 'moderate', summary: 'Moderation' },
  { path: '/audio/speech', operationId: 'speak', summary: 'Text to speech', ...audio, answersFile: true },
  { path: '/audio/transcriptions', operationId: 'transcribe', summary: 'Speech to text', ...audio, isForm: true },
  { path: '/audio/translations', operationId: 'translate', summary: 'Speech to English text', ...audio, isForm: true },
  { path: '/images/generations', operationId: 'generateImage', summary: 'Images', ...images },
  { path: '/images/edits', operationId: 'editImage', summary: 'Images from images', ...images, isForm: true },
  { path: '/images/variations', operationId: 'varyImage', summary: 'Variations of an image', ...images, isForm: true },
]

/** Routes of these paths, with `/v1` and, where there is one, in the short form. */
export const FORWARDED_ROUTES: readonly string[] = [
  ...new Set(
    FORWARDED_PATHS.flatMap(({ path, route = path, hasShortForm }) =>
      hasShortForm ? [`/v1${route}`, route] : [`/v1${route}`],
    ),
  ),
  '/openai/deployments/:model/*path',
]
