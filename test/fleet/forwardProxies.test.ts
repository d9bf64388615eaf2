import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ForwardProxies, proxyAuthorization } from '../../src/fleet/forwardProxies.ts'

const HTTP = 'http://plain.example:3128'
const HTTPS = 'http://secure.example:3128'

function proxyOf(url: string, noProxy: readonly string[] = [], httpProxy = HTTP, httpsProxy = HTTPS) {
  return new ForwardProxies({ httpProxy, httpsProxy, noProxy }).for(url)?.origin
}

test('the scheme of the backend chooses the proxy, and without one it is reached directly', () => {
  assert.equal(proxyOf('http://node.example'), HTTP)
  assert.equal(proxyOf('https://node.example'), HTTPS)
  assert.equal(proxyOf('http://node.example', [], ''), undefined)
  assert.equal(proxyOf('https://node.example', [], HTTP, ''), undefined)
})

describe('NO_PROXY', () => {
  for (const [entry, direct, through] of [
    ['*', ['http://a.example', 'http://10.0.0.1'], []],
    [
      'a.example',
      ['http://a.example', 'http://A.example:80', 'https://x.a.example'],
      ['http://b.example', 'http://ba.example'],
    ],
    ['.a.example', ['http://x.a.example', 'http://a.example'], ['http://ba.example']],
    ['*.a.example', ['http://x.a.example'], ['http://a.example']],
    ['a.example:8000', ['http://a.example:8000'], ['http://a.example']],
    ['a.example:443', ['https://a.example'], ['http://a.example']],
    ['10.0.0.1', ['http://10.0.0.1:4000'], ['http://10.0.0.10:4000']],
    ['10.0.0.0/8', ['http://10.200.0.1:4000', 'http://[::ffff:10.1.1.1]'], ['http://11.0.0.1', 'http://a.example']],
    ['fd00::/8', ['http://[fd00::1]:4000'], ['http://[fe80::1]:4000', 'http://10.0.0.1']],
    ['::1', ['http://[::1]:4000'], ['http://127.0.0.1']],
    ['[::1]:4000', ['http://[::1]:4000'], ['http://[::1]:4001']],
    ['localhost', ['http://localhost:1', 'http://localhost.:1'], ['http://127.0.0.1:1']],
  ] as const) {
    test(`${entry} names what it should, and nothing else`, () => {
      for (const url of direct) assert.equal(proxyOf(url, ['other.example', entry]), undefined, url)
      for (const url of through) assert.notEqual(proxyOf(url, ['other.example', entry]), undefined, url)
    })
  }
})

test('credentials of the proxy are decoded, and leave no trace in its origin', () => {
  const proxies = new ForwardProxies({ httpProxy: 'http://us%40er:p%3Aw@p.example', httpsProxy: '', noProxy: [] })
  const proxy = proxies.for('http://node.example')
  assert.ok(proxy)
  assert.equal(proxy.origin, 'http://p.example')
  assert.equal(proxyAuthorization(proxy), `Basic ${Buffer.from('us@er:p:w').toString('base64')}`)
})
