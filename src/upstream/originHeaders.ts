/**
 * Headers of a backend's answer that make a browser, or a web server in front of the gateway, act for the gateway's whole origin
 * and not for this one answer. A backend is trusted with its answer alone, so none of them goes on to a client.
 */
const ACT_ON_ORIGIN = new Set([
  // State of the origin: cookies and sign-in that go with every later request, and their removal.
  'set-cookie',
  'set-cookie2',
  'clear-site-data',
  'set-login',
  'secure-session-registration',
  'secure-session-challenge',
  'sec-session-registration',
  'sec-session-challenge',
  // How browsers connect to the origin from now on.
  'strict-transport-security',
  'public-key-pins',
  'public-key-pins-report-only',
  'expect-ct',
  'alt-svc',
  'accept-ch',
  'accept-ch-lifetime',
  'critical-ch',
  'origin-agent-cluster',
  // Where browsers send reports about the origin's requests, which name their URLs.
  'nel',
  'report-to',
  'reporting-endpoints',
  'content-security-policy-report-only',
  // What may run in the origin. The gateway sets both of these itself.
  'content-security-policy',
  'x-content-type-options',
  'service-worker-allowed',
  // Scripts and pages that browsers, or their developer tools, fetch with the origin's credentials, or store for it.
  'link',
  'sourcemap',
  'x-sourcemap',
  'speculation-rules',
  'use-as-dictionary',
  // Who may read the origin's answers. That is for CORS_ORIGINS to say.
  'timing-allow-origin',
  'x-permitted-cross-domain-policies',
  'activate-storage-access',
  // Where the browser or the client goes next. A 307 would make clients repeat the request, key included, at an address of the
  // backend's choice; and both locations evict what caches keep under the gateway's URLs (RFC 9111, 4.4).
  'location',
  'content-location',
  'refresh',
  // Orders to a web server in front: nginx, Apache and lighttpd would answer with files of their own.
  'x-accel-redirect',
  'x-accel-expires',
  'x-accel-limit-rate',
  'x-accel-charset',
  'x-sendfile',
  'x-lighttpd-send-file',
  'x-reproxy-url',
])

/** The same by the beginning of the name: CORS, isolation between origins, and advertising that is registered for the origin. */
const ACT_ON_ORIGIN_BY_PREFIX = /^(?:access-control|cross-origin|attribution-reporting|ad-auction|shared-storage)-/

/** Schemes for which browsers ask their user for a password, in a dialogue that names the gateway (RFC 7235). */
const PASSWORD_SCHEME = /\b(?:basic|digest|negotiate|ntlm|kerberos)\b/i

/** Whether a header of a backend's answer acts beyond that answer. `Bearer` challenges do not: clients learn from them why a key was refused. */
export function actsOnOrigin(name: string, value: string | readonly string[]): boolean {
  if (name === 'www-authenticate') return PASSWORD_SCHEME.test(String(value))
  return ACT_ON_ORIGIN.has(name) || ACT_ON_ORIGIN_BY_PREFIX.test(name)
}
