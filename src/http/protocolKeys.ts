/**
 * Browsers cannot set headers of a WebSocket, so OpenAI's clients show their key as one of the protocols that they offer in
 * `Sec-WebSocket-Protocol`: `realtime, openai-insecure-api-key.KEY`.
 */
const KEY_PROTOCOL = /^openai-insecure-api-key\.(.+)$/i

/** The key among the offered protocols. */
export function keyOfProtocols(header: string | undefined): string | undefined {
  for (const protocol of protocolsOf(header)) {
    const key = KEY_PROTOCOL.exec(protocol)?.[1]
    if (key !== undefined) return key
  }
  return undefined
}

/** The header without keys; undefined where nothing is left of it. */
export function protocolsWithoutKeys(header: string | undefined): string | undefined {
  const kept = protocolsOf(header).filter((protocol) => !KEY_PROTOCOL.test(protocol))
  return kept.length > 0 ? kept.join(', ') : undefined
}

function protocolsOf(header: string | undefined): string[] {
  return header === undefined ? [] : header.split(',').map((protocol) => protocol.trim())
}
