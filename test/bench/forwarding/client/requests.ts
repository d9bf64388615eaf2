/** Requests as the bytes that go over the wire, made before anything is measured. */

/** Further header lines, each with its line end. */
const NO_HEADERS = ''

export function postRequest(url: string, body: string, headers = NO_HEADERS): Buffer {
  const length = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return Buffer.from(`${head('POST', url)}${length}${headers}\r\n${body}`)
}

export function getRequest(url: string, headers = NO_HEADERS): Buffer {
  return Buffer.from(`${head('GET', url)}${headers}\r\n`)
}

function head(method: string, url: string): string {
  const { host, pathname, search } = new URL(url)
  return `${method} ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\nUser-Agent: bench\r\n`
}
