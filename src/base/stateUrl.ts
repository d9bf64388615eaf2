/** Where jobs are kept, as a STATE_URL names it. */
export type StateUrl = { readonly kind: 'memory' } | { readonly kind: 'sqlite'; readonly file: string }

const ALLOWED = 'allowed are sqlite:FILE and memory:'

/** A STATE_URL that names no store that we know. The message is one line for the operator and holds no secrets. */
export class StateUrlError extends Error {
  override readonly name = 'StateUrlError'
  /** A store that is meant to come. */
  readonly isPlanned: boolean

  constructor(message: string, isPlanned = false) {
    super(message)
    this.isPlanned = isPlanned
  }
}

/**
 * Takes a STATE_URL apart. A scheme may be written in any case (RFC 3986, 3.1).
 *
 * @throws StateUrlError
 */
export function parseStateUrl(url: string): StateUrl {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(url) ?? []
  switch (scheme.toLowerCase()) {
    case 'memory':
      if (rest !== '') throw new StateUrlError('memory: takes no path')
      return { kind: 'memory' }
    case 'sqlite':
      return { kind: 'sqlite', file: filePath(rest) }
    case 'redis':
    case 'rediss':
      throw new StateUrlError(`${scheme}: is not supported yet; ${ALLOWED}`, true)
    case '':
      throw new StateUrlError(`it begins with no scheme; ${ALLOWED}`)
    default:
      throw new StateUrlError(`${scheme}: is not known; ${ALLOWED}`)
  }
}

/**
 * The file as it stands after the scheme. A URL with an empty host (`sqlite:///data/jobs.db`) is understood too; one with a
 * host is not, for `sqlite://data/x.db` would be the absolute path /x.db, which hardly anybody means.
 */
function filePath(rest: string): string {
  const isUrl = rest.startsWith('//')
  if (rest === '' || rest.startsWith(':') || rest.includes('\0') || (isUrl && !rest.startsWith('///'))) {
    throw new StateUrlError('sqlite: needs a file, as in sqlite:data/gateway.db')
  }
  return isUrl ? rest.slice(2) : rest
}
