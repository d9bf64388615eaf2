import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AddressError, parseAddress, parseAddressLine, urlOf } from '../../src/fleet/address.ts'
import type { DnsName } from '../../src/fleet/address.ts'

describe('an address', () => {
  for (const [name, url] of [
    ['10.0.0.1:4000', 'http://10.0.0.1:4000'],
    ['[2001:db8::1]:4000', 'http://[2001:db8::1]:4000'],
    ['10.0.0.1:4000/', 'http://10.0.0.1:4000'],
    ['[2001:db8::1]:4000/', 'http://[2001:db8::1]:4000'],
    ['node.example', 'http://node.example'],
    ['node.example:8080', 'http://node.example:8080'],
    ['under_score-1:4000', 'http://under_score-1:4000'],
    ['http://node.example', 'http://node.example'],
    ['http://node.example:4000/', 'http://node.example:4000'],
    ['https://node.example', 'https://node.example'],
    ['https://node.example:8443/base/', 'https://node.example:8443/base'],
    ['HTTP://Node.Example/a/b', 'http://node.example/a/b'],
  ] as const) {
    test(`${name} leads to ${url} and keeps its spelling`, () => {
      const spec = parseAddress(name)
      assert.equal(urlOf(spec), url)
      assert.equal(spec.name, name)
      assert.equal(spec.kind, 'infernet')
    })
  }

  test('without a port it is 80, for https 443', () => {
    assert.equal(parseAddress('node.example').key, 'http://node.example:80')
    assert.equal(parseAddress('https://node.example').key, 'https://node.example:443')
  })

  for (const spellings of [
    [
      'http://node.example:4000',
      'node.example:4000',
      'node.example:4000/',
      'http://node.example:4000/',
      'NODE.example:4000',
    ],
    ['node.example', 'node.example:80', 'http://node.example', 'http://node.example:80/'],
    ['https://node.example/base', 'https://node.example:443/base/', 'https://node.example:443/base//'],
    ['[::1]:4000', 'http://[0:0:0:0:0:0:0:1]:4000'],
    ['127.0.0.1:4000', '[::ffff:127.0.0.1]:4000', 'http://[::ffff:7f00:1]:4000'],
  ]) {
    test(`${spellings.join(' and ')} are one node`, () => {
      assert.equal(new Set(spellings.map((name) => parseAddress(name).key)).size, 1)
    })
  }

  test('scheme, port and base path tell nodes apart', () => {
    const names = ['node.example', 'https://node.example', 'node.example:4000', 'http://node.example/base']
    assert.equal(new Set(names.map((name) => parseAddress(name).key)).size, names.length)
  })

  for (const name of [
    '256.1.1.1:4000',
    '1.2.3:4000',
    '4000',
    '0x7f000001:4000',
    '::1',
    '2001:db8::1:4000',
    '[::1:4000',
    '127.0.0.1:',
    '127.0.0.1:/',
    '[::1]:',
    'node.example:',
    'http://node.example:',
    'http://node.example:/base',
    '127.0.0.1:4000//',
    '::1/',
    'node.example:0',
    'node.example:65536',
    'node.example:http',
    'node.example:4000/base',
    'node.example\\base',
    'ftp://node.example',
    'http://',
    'http://user:secret@node.example',
    'user@node.example:4000',
    'http://node.example/?a=b',
    'http://node.example/?',
    'node.example#4000',
    '-node.example',
    'no..de',
    '*',
    'bücher.example',
  ]) {
    test(`${name} is none`, () => {
      assert.throws(() => parseAddress(name), AddressError)
    })
  }
})

describe('a line of the addresses file', () => {
  test('may be blank or a comment', () => {
    for (const line of ['', '   ', '\t', '# 10.0.0.1:4000', '   # later', '#']) {
      assert.equal(parseAddressLine(line), undefined, JSON.stringify(line))
    }
  })

  test('may have blanks around it and a comment behind it', () => {
    for (const line of ['  10.0.0.1:4000\t', '10.0.0.1:4000 # ours', '10.0.0.1:4000\r']) {
      assert.equal(parseAddressLine(line)?.name, '10.0.0.1:4000')
    }
  })

  test('may say how many jobs the node runs at once', () => {
    assert.equal(parseAddressLine('10.0.0.1:4000 concurrency=4')?.concurrency, 4)
    assert.equal(parseAddressLine('10.0.0.1:4000\tconcurrency=16 # big')?.concurrency, 16)
    assert.equal(parseAddressLine('10.0.0.1:4000')?.concurrency, undefined)
    assert.equal(parseAddressLine('10.0.0.1:4000 drain concurrency=4')?.drain, true)
    assert.equal(parseAddressLine('dns://node.example:4000 drain')?.drain, true)
    assert.equal(parseAddressLine('10.0.0.1:4000 concurrency=4')?.drain, undefined)
  })

  test('may name all addresses behind a name, with a port or 80, and options for all of them', () => {
    const read = (line: string): unknown => {
      const { kind, key, name, concurrency, ...where } = parseAddressLine(line) as DnsName
      return [kind, key, name, concurrency, where]
    }
    assert.deepEqual(read('dns://node.example'), [
      'dns',
      'dns://node.example:80',
      'dns://node.example',
      undefined,
      { host: 'node.example', port: 80 },
    ])
    assert.deepEqual(read('DNS://Node.Example:4000/ concurrency=2 # ours'), [
      'dns',
      'dns://node.example:4000',
      'DNS://Node.Example:4000/',
      2,
      { host: 'node.example', port: 4000 },
    ])
  })

  for (const line of [
    'node.example concurrency=0',
    'node.example drain=yes',
    'node.example Drain',
    'node.example concurrency=-1',
    'node.example concurrency=1.5',
    'node.example concurrency=many',
    'node.example concurrency=',
    'node.example concurrency',
    'node.example speed=3',
    'node.example other.example',
    'concurrency=4',
    'dns://',
    'dns://node.example/base',
    'dns://http://node.example',
    'dns://node.example:0',
    'dns://user@node.example',
    'dns:node.example',
    'dns://node.example speed=3',
    `${'a.'.repeat(1500)}example`,
  ]) {
    test(`${line.slice(0, 40)} is none`, () => {
      assert.throws(() => parseAddressLine(line), AddressError)
    })
  }
})
