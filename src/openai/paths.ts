import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'
import { FORWARDED_PATHS } from './forwardedPaths.ts'

/**
 * What services might read as a path that is not forwarded, and answer under their own key: dot segments, empty ones, encoded
 * slashes and dots, backslashes.
 */
const OTHER_PATH = /\/\/|\/\.\.?(?:\/|$)|\\|%(?:2[ef]|5c)/i

const DEPLOYMENT = /^\/openai\/deployments\/[^/]+(?=\/)/i
/** Azure's SDKs put a model's name into the path as it is: the slashes of `org/name` belong to the name. */
const DEPLOYMENT_CALL =
  /^(\/openai\/deployments\/)([^/]+(?:\/[^/]+)*?)(\/(?:chat\/completions|completions|embeddings|(?:audio|images)\/[^/]+)\/*)$/i
const AZURE = /^\/openai\/(?!deployments\/)(?:v1(?=\/|\?|$)\/?)?/i

/** URLs as nearly all clients write them, and their paths behind the prefix: these need no closer look. */
const USUAL_PATHS: ReadonlyMap<string, string> = new Map(FORWARDED_PATHS.map(({ path }) => [`/v1${path}`, path]))

/**
 * The path behind the prefix that differs between services: `/chat/completions?…`.
 *
 * @throws GatewayFault ERR_NOT_FOUND where a service might take it for another path
 */
export function pathWithoutPrefix(req: Request): string {
  const usual = USUAL_PATHS.get(req.url)
  if (usual !== undefined) return usual
  const { path } = req
  const isDeployment = DEPLOYMENT.exec(path)
  const start = isDeployment ? isDeployment[0].length : /^\/v1\//i.test(path) ? 3 : 0
  const rest = path.slice(start, endWithoutSlashes(path))
  if (rest === '' || OTHER_PATH.test(rest)) throw new GatewayFault('ERR_NOT_FOUND')
  // Throws where it is not properly encoded.
  if (rest.includes('%')) decodeURIComponent(rest)
  const query = req.url.indexOf('?')
  if (query < 0) return rest
  const sent = isDeployment ? withoutApiVersion(req.url.slice(query)) : req.url.slice(query)
  return rest + sent
}

/** A path without its query. */
export function withoutQuery(path: string): string {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

/** By a loop: `/\/+$/` takes the square of the time for slashes that are not at the end. */
function endWithoutSlashes(path: string): number {
  let end = path.length
  while (path[end - 1] === '/') end--
  return end
}

/**
 * Where clients of Azure's SDKs call what is not of one deployment, `/openai/…` or `/openai/v1/…`, the request goes on as one
 * for `/v1/…`. The name of a deployment becomes one segment of the path.
 */
export function readAzurePaths(req: Request): void {
  if (USUAL_PATHS.has(req.url)) return
  if (/^\/openai\//i.test(req.url)) {
    const query = req.url.indexOf('?')
    const path = query < 0 ? req.url : req.url.slice(0, query)
    const sent = query < 0 ? '' : req.url.slice(query)
    const [, start, model, call] = DEPLOYMENT_CALL.exec(path) ?? []
    if (model?.includes('/')) req.url = `${start}${model.replaceAll('/', '%2F')}${call}${sent}`
    else if (AZURE.test(path)) req.url = path.replace(AZURE, '/v1/') + withoutApiVersion(sent)
  }
}

/** The version of Azure's API says nothing to a service that is not Azure's; the operator's `url` can name one. */
function withoutApiVersion(query: string): string {
  const kept = query
    .slice(1)
    .split('&')
    .filter((parameter) => !/^api-version(=|$)/i.test(parameter))
  return kept.length > 0 && kept[0] !== '' ? `?${kept.join('&')}` : ''
}
