import { GatewayFault } from '../../faults.ts'
import { AddressError, type NodeSpec, parseAddress, type WorkerReport } from '../../fleet/index.ts'
import { flagIn, membersOf, numberIn, textIn } from '../members.ts'

/** Longest reason of a worker that is kept, characters. */
const MOST_REASON = 200
const LOADING = 'The worker reports that it is loading'

/**
 * Reads a worker's report as Vast's workers send it. They name no state: a worker is loading until it knows how long that took
 * (`loadtime`) and what it can do (`max_perf`), unless it says so itself (`loaded`, `loading`), and out of order where it has an
 * `error_msg`.
 *
 * @throws GatewayFault ERR_BAD_JSON or ERR_BAD_SHAPE naming what is wrong
 */
export function readReport(body: Buffer): { readonly address: NodeSpec; readonly report: WorkerReport } {
  const members = membersOf(body)
  const number = (name: string): number | undefined => numberIn(body, members, name)?.value
  const address = addressIn(textIn(body, members, 'url'))
  const error = textIn(body, members, 'error_msg') ?? ''
  const [loadSeconds, performance] = [number('loadtime'), number('max_perf')]
  const [loaded, loading] = [flagIn(body, members, 'loaded'), flagIn(body, members, 'loading')]
  if (loadSeconds === undefined && performance === undefined && loaded === undefined && loading === undefined) {
    throw bad('One of loadtime, max_perf, loaded and loading is needed to know whether the worker is loading')
  }
  const isLoaded = loaded ?? (loading === undefined ? (loadSeconds ?? 0) > 0 || (performance ?? 0) > 0 : !loading)
  const pending = number('num_requests_working')
  if (pending !== undefined && !Number.isSafeInteger(pending)) {
    throw bad('num_requests_working must be a whole number ≥ 0')
  }
  return { address, report: { notReady: reasonOf(isLoaded, error), pending } }
}

function reasonOf(isLoaded: boolean, error: string): string | undefined {
  if (error !== '') return `The worker reports an error: ${error.slice(0, MOST_REASON)}`
  return isLoaded ? undefined : LOADING
}

function addressIn(url: string | undefined): NodeSpec {
  if (url === undefined) throw bad('url must be the address of the worker')
  try {
    return parseAddress(url)
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    throw bad(`url must be the address of the worker: ${error.message}`)
  }
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_SHAPE', message)
}
