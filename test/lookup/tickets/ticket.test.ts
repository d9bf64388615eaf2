import assert from 'node:assert/strict'
import { verify } from 'node:crypto'
import { before, suite, test } from 'node:test'
import { ephemeralTicketKeys } from '../../../src/lookup/tickets/keys.ts'
import type { TicketKeys } from '../../../src/lookup/tickets/keys.ts'
import { issueTicket, type TicketFields } from '../../../src/lookup/tickets/ticket.ts'
import { pythonSigningTexts } from './python.ts'

const FIELDS = { url: 'http://10.0.0.1:4000', endpoint: 'hello-world', cost: '256', reqnum: 7 }

/** The text that is signed for a ticket. */
async function signingText(fields: TicketFields): Promise<string> {
  let signed = ''
  const keys = { publicKeyPem: '', sign: async (text: string) => (signed = text), close: () => undefined }
  await issueTicket(keys, fields)
  return signed
}

suite('tickets', () => {
  let keys: TicketKeys
  before(async () => {
    keys = await ephemeralTicketKeys()
  })

  const isSigned = (text: string, signature: string) =>
    verify('sha256', Buffer.from(text), keys.publicKeyPem, Buffer.from(signature, 'base64'))

  test('the signing text is Python’s, indented by four, members in alphabetical order', async () => {
    assert.equal(
      await signingText(FIELDS),
      '{\n    "cost": 256,\n    "endpoint": "hello-world",\n    "reqnum": 7,\n    "url": "http://10.0.0.1:4000"\n}',
    )
    for (const [cost, read] of [
      ['1e21', '1e+21'],
      ['0.0000001', '1e-07'],
      ['1', '1'],
      ['1.0', '1.0'],
      ['0', '0'],
      ['0.0', '0.0'],
    ] as const) {
      assert.ok((await signingText({ ...FIELDS, cost })).includes(`"cost": ${read},`), cost)
    }
  })

  test('a ticket has the five members, and its body spells the cost as it was asked and signed', async () => {
    const body = (await issueTicket(keys, { ...FIELDS, cost: '3.0' })).toString()
    const { signature, ...rest } = JSON.parse(body) as { signature: string }
    assert.deepEqual(rest, { ...FIELDS, cost: 3 })
    assert.match(body, /,"cost":3\.0}$/)
    assert.ok(isSigned(await signingText({ ...FIELDS, cost: '3.0' }), signature))
    assert.ok(!isSigned(await signingText({ ...FIELDS, cost: '3' }), signature))
  })

  test('one that names its request has a sixth member, and its signature is over the address alone', async () => {
    const fields = { ...FIELDS, cost: '0.0', requestIndex: 12 }
    const body = (await issueTicket(keys, fields)).toString()
    const { signature, ...rest } = JSON.parse(body) as { signature: string }
    assert.deepEqual(rest, { ...FIELDS, cost: 0, request_idx: 12 })
    assert.equal(await signingText(fields), '{\n    "url": "http://10.0.0.1:4000"\n}')
    assert.ok(isSigned(await signingText(fields), signature))
  })

  test('a Python worker that reads the answer finds the signature valid, whatever the cost and the endpoint', async (t) => {
    const huge = String(Number.MAX_VALUE)
    const costs = [
      '256',
      '0.5',
      '1e-7',
      '1e21',
      '1e16',
      '0.1',
      '3.0',
      '1',
      '123456789012345678901',
      '5e-324',
      huge,
      '0',
    ]
    const spellings = ['0.0', '-0.0', '-0', '1E0', `1${'0'.repeat(21)}`, String(1 / 3), '0.30000000000000004']
    const endpoints = ['hello-world', 'a,b', 'modèle-😀', 'quote"\\\u007f\n\u2028']
    const all = [
      ...[...costs, ...spellings].map((cost) => ({ ...FIELDS, cost })),
      ...endpoints.map((endpoint) => ({ ...FIELDS, endpoint, url: `http://é.example/${endpoint}` })),
    ]
    const issued = await Promise.all(
      [...all, ...all.map((fields) => ({ ...fields, requestIndex: 5 }))].map((fields) => issueTicket(keys, fields)),
    )
    const texts = await pythonSigningTexts(issued.map(String))
    if (!texts) return t.skip('python3 is not there to compare with')
    assert.equal(texts.length, issued.length)
    for (const [i, body] of issued.entries()) {
      const { signature } = JSON.parse(String(body)) as { signature: string }
      assert.ok(isSigned(texts[i]!, signature), String(body))
    }
  })
})
