/** Reads what came back on a connection as strictly as HTTP allows. */

export interface FuzzAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** False where the connection ended amid it. */
  readonly isComplete: boolean
}

/** @throws Error where the bytes are no HTTP answers, one behind the other */
export function readAnswers(
  received: string,
  { methods, isSound }: { readonly methods: readonly string[]; readonly isSound: boolean },
): FuzzAnswer[] {
  const answers: FuzzAnswer[] = []
  let rest = received
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) {
      if (!'HTTP/1.1 '.startsWith(rest.slice(0, 9))) throw new Error('the head of an answer is none')
      answers.push({ status: 0, headers: new Map(), body: '', isComplete: false })
      break
    }
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d)(?: |$)/.exec(line)?.[1])
    if (!status) throw new Error(`no status line: ${line.slice(0, 100)}`)
    const headers = headersOf(fields)
    rest = rest.slice(end + 4)
    if (status < 200) continue
    // An error of the parser does not know of any method, and closes the connection after it.
    const isParsers = !isSound && status >= 400 && headers.get('connection') === 'close'
    const method = isParsers && rest !== '' ? undefined : methods[answers.length]
    const { body, isComplete, length } = bodyOf(rest, status, headers, method)
    answers.push({ status, headers, body, isComplete })
    rest = rest.slice(length)
  }
  return answers
}

function headersOf(fields: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const field of fields) {
    const match = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*)$/.exec(field)
    if (!match) throw new Error(`a header that is none: ${field.slice(0, 100)}`)
    const name = match[1]!.toLowerCase()
    if (headers.has(name) && ['content-length', 'transfer-encoding', 'content-type'].includes(name)) {
      throw new Error(`${name} is there twice`)
    }
    headers.set(name, match[2]!)
  }
  if (headers.has('content-length') && headers.has('transfer-encoding')) throw new Error('two framings in one answer')
  return headers
}

function bodyOf(
  rest: string,
  status: number,
  headers: ReadonlyMap<string, string>,
  method: string | undefined,
): { body: string; isComplete: boolean; length: number } {
  if (method === 'HEAD' || status === 204 || status === 304) return { body: '', isComplete: true, length: 0 }
  const length = headers.get('content-length')
  if (length !== undefined) {
    const wanted = Number(length)
    return { body: rest.slice(0, wanted), isComplete: rest.length >= wanted, length: wanted }
  }
  if (headers.get('transfer-encoding') === 'chunked') return chunksOf(rest)
  return { body: rest, isComplete: true, length: rest.length }
}

function chunksOf(rest: string): { body: string; isComplete: boolean; length: number } {
  let body = ''
  for (let at = 0; ;) {
    const end = rest.indexOf('\r\n', at)
    if (end < 0) return { body, isComplete: false, length: rest.length }
    const size = /^[0-9a-f]+$/i.test(rest.slice(at, end)) ? parseInt(rest.slice(at, end), 16) : NaN
    if (Number.isNaN(size)) throw new Error(`the size of a chunk is none: ${rest.slice(at, at + 50)}`)
    at = end + 2
    if (size === 0) {
      const isComplete = rest.slice(at, at + 2) === '\r\n'
      return { body, isComplete, length: isComplete ? at + 2 : rest.length }
    }
    body += rest.slice(at, at + size)
    at += size + 2
    if (at > rest.length) return { body, isComplete: false, length: rest.length }
  }
}
