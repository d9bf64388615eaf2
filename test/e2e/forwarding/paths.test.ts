import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node])

/** What each path can do. HEAD comes with GET, OPTIONS with everything. */
const METHODS: Record<string, string[]> = {
  '/health': ['GET'],
  '/livez': ['GET'],
  '/readyz': ['GET'],
  '/info': ['GET'],
  '/resources': ['GET'],
  '/services': ['GET'],
  '/status': ['GET'],
  '/stats': ['GET'],
  '/metrics': ['GET'],
  '/api/jobs': ['GET', 'POST'],
  '/api/jobs/batch': ['POST'],
  '/api/jobs/stream': ['POST'],
  '/api/status': ['PUT'],
  '/api/v1/ips': ['GET'],
  '/api/v1/ip': ['GET'],
  '/api/v1/containers': ['GET'],
  '/api/v1/resources': ['GET'],
}

function allowed(path: string): string[] {
  const methods = METHODS[path]!
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].sort()
}

function allowOf(answer: { headers: { allow?: string | undefined } }): string[] {
  return (answer.headers.allow ?? '').split(/, */).sort()
}

test('an unknown path is a 404', async () => {
  for (const path of ['/nothing', '/api', '/api/jobs/other', '/api/v1', '/%zz', '/api/jobs%2Fstream']) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      assertError(await request(`${gateway.url}${path}`, { method }), 404)
    }
  }
})

test('an unknown path that begins like a host is a 404 in JSON too', async () => {
  for (const path of ['/\\host/x', '//\\host:80"', '/\\#?', '//x#/[']) {
    const raw = await openRaw(gateway.url)
    raw.send(`GET ${path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n`)
    const received = await raw.closed()
    assert.match(received, /^HTTP\/1\.1 404 /, path)
    assert.match(received, /\r\n\r\n\{"error":"[^\r\n]+\}$/, path)
  }
})

test('a target in absolute form is its path, also behind several slashes', async () => {
  for (const target of ['http://gateway/livez', 'HTTP://gateway//livez', 'https://gateway:1//livez?x=1', '//livez']) {
    const raw = await openRaw(gateway.url)
    raw.send(`GET ${target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n`)
    assert.match(await raw.closed(), /^HTTP\/1\.1 200 /, target)
  }
  const raw = await openRaw(gateway.url)
  raw.send('GET http://gateway?x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n')
  assert.match(await raw.closed(), /^HTTP\/1\.1 200 [^]*"name":"infernet-gateway"/)
})

test('requests behind unanswered ones are answered in order, a hundred of them; behind those the connection closes', async () => {
  const pipelined = async (count: number): Promise<string[]> => {
    const raw = await openRaw(gateway.url)
    const requests = Array.from(
      { length: count },
      (_, n) => `GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: n${n}\r\n\r\n`,
    )
    raw.send(requests.join('') + 'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    return [...(await raw.closed()).matchAll(/X-Request-Id: n(\d+)/g)].map(([, n]) => n!)
  }
  const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n))
  assert.deepEqual(await pipelined(50), numbers(50))
  const answered = await pipelined(5000)
  assert.ok(answered.length >= 100 && answered.length < 5000, String(answered.length))
  assert.deepEqual(answered, numbers(answered.length))
  assert.equal((await request(`${gateway.url}/livez`)).status, 200)
})

test('a known path with a wrong method is a 405 that names the right ones', async () => {
  for (const path of Object.keys(METHODS)) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE']) {
      if (METHODS[path]!.includes(method)) continue
      const answer = await request(`${gateway.url}${path}`, { method })
      assertError(answer, 405)
      assert.deepEqual(allowOf(answer), allowed(path), `${method} ${path}`)
    }
  }
})

test('HEAD is a wrong method where GET is', async () => {
  const answer = await request(`${gateway.url}/api/jobs/stream`, { method: 'HEAD' })
  assert.equal(answer.status, 405)
  assert.deepEqual(allowOf(answer), ['OPTIONS', 'POST'])
})

test('OPTIONS is a 204 that names the methods', async () => {
  for (const path of Object.keys(METHODS)) {
    const answer = await request(`${gateway.url}${path}`, { method: 'OPTIONS' })
    assert.equal(answer.status, 204, path)
    assert.equal(answer.body.length, 0)
    assert.deepEqual(allowOf(answer), allowed(path), path)
  }
})

test('HEAD is answered as GET, without the body', async () => {
  for (const path of ['/health', '/info', '/resources', '/api/jobs', '/api/jobs?id=unknown', '/stats', '/livez']) {
    const get = await request(`${gateway.url}${path}`)
    const head = await request(`${gateway.url}${path}`, { method: 'HEAD' })
    assert.equal(head.status, 200, path)
    assert.equal(head.body.length, 0)
    assert.equal(head.headers['content-type'], get.headers['content-type'])
  }
})

test('a trailing slash makes no difference', async () => {
  for (const path of ['/health', '/livez', '/readyz', '/info', '/resources', '/stats', '/services', '/api/jobs']) {
    assert.equal((await request(`${gateway.url}${path}/`)).status, 200, path)
  }
  assert.equal((await request(`${gateway.url}/api/v1/ips/?container=echo`)).text, `["${node.address}"]`)
  assert.equal((await post(`${gateway.url}/api/jobs/`, jobOf())).status, 200)
  assert.equal((await post(`${gateway.url}/api/jobs/batch/`, [jobOf()])).status, 200)
  assert.equal((await post(`${gateway.url}/api/jobs/stream/`, jobOf())).status, 200)
  assertError(await request(`${gateway.url}/api/status/`, { method: 'PUT', body: '{}' }), 400)
})

describe('a doubled slash at the start, as of a base URL that ends in one,', () => {
  test('makes no difference to reads, with a query or without', async () => {
    for (const path of Object.keys(METHODS).filter((one) => METHODS[one]!.includes('GET'))) {
      for (const slashes of ['//', '///']) {
        for (const query of ['', '?container=echo&id=a//b']) {
          const single = await request(`${gateway.url}${path}${query}`)
          const doubled = await request(`${gateway.url}${slashes}${path.slice(1)}${query}`)
          assert.equal(doubled.status, single.status, path + query)
          assert.equal(doubled.headers['content-type'], single.headers['content-type'])
        }
        assert.equal(
          (await request(`${gateway.url}${slashes}${path.slice(1)}/`, { method: 'HEAD' })).status < 500,
          true,
        )
      }
    }
    assert.equal((await request(`${gateway.url}//api/v1/ips?container=echo`)).text, `["${node.address}"]`)
  })

  test('makes no difference to work', async () => {
    const { status, text } = await post(`${gateway.url}//api/jobs`, jobOf())
    assert.equal(status, 200)
    const { id } = JSON.parse(text) as { id: string }
    assert.equal(node.seen('submit').at(-1)!.url, '/api/jobs')
    const read = await request(`${gateway.url}//api/jobs?id=${id}`)
    assert.equal(read.json<{ id: string }[]>()[0]!.id, id)
    assert.equal((await post(`${gateway.url}//api/jobs/batch`, [jobOf()])).status, 200)
    assert.equal((await post(`${gateway.url}//api/jobs/stream`, jobOf())).status, 200)
    assert.equal((await post(`${gateway.url}//route/`, { endpoint: 'echo' })).status, 200)
    assertError(await post(`${gateway.url}//v1/chat/completions`, { model: 'none' }), 404, 'model_not_found')
  })

  test('makes no difference to OPTIONS and to wrong methods', async () => {
    for (const path of Object.keys(METHODS)) {
      const answer = await request(`${gateway.url}/${path}`, { method: 'OPTIONS' })
      assert.equal(answer.status, 204, path)
      assert.deepEqual(allowOf(answer), allowed(path), path)
      assertError(await request(`${gateway.url}/${path}`, { method: 'PATCH' }), 405)
    }
  })

  test('is the only one that is: another is part of the path', async () => {
    for (const path of ['/api//jobs', '/api/jobs//stream', '//api//jobs', '//nothing', '//example.org/api/jobs']) {
      assertError(await request(`${gateway.url}${path}`), 404)
    }
  })
})

describe('a body of another coding', () => {
  test('is a 415 that names those allowed, and nothing is asked of a node', async () => {
    const seen = node.seen('submit').length
    for (const coding of ['compress', 'x-unknown', 'gzip, x-unknown', 'gzip, br, zstd', 'constructor']) {
      const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'Content-Encoding': coding } })
      assertError(answer, 415)
      assert.equal(answer.headers['accept-encoding'], 'gzip, deflate, br, zstd')
    }
    assert.equal(node.seen('submit').length, seen)
  })

  test('that says it is none is read', async () => {
    const answer = await post(`${gateway.url}/api/jobs`, jobOf(), { headers: { 'Content-Encoding': 'identity' } })
    assert.equal(answer.status, 200)
    assert.equal(node.seen('submit').at(-1)!.header('content-encoding'), undefined)
  })
})
