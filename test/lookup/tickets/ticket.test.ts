import assert from 'node:assert/strict'
import { verify } from 'node:crypto'
import { before, suite, test } from 'node:test'
import { ephemeralTicketKeys } from '../../../src/lookup/tickets/keys.ts'
import type { TicketKeys } from '../../../src/lookup/tickets/keys.ts'
import { issueTicket, type TicketFields } from '../../../src/lookup/tickets/ticket.ts'
import { pythonSigningTexts } from './python.ts'

const FIELDS = { url: 'http://10.0.0.1:4000', endpoint: 'hello-world', cost: 256, reqnum: 7 }

/** The text that is signed for a ticket. */
async function signingText(fields: TicketFields, costSpelling?: string): Promise<string> {
  let signed = ''
  const keys = { publicKeyPem: '', sign: async (text: string) => (signed = text), close: () => undefined }
  await issueTicket(keys, fields, costSpelling)
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
    assert.match(await signingText({ ...FIELDS, cost: 1e21 }), /"cost": 1e\+21,/)
    assert.match(await signingText({ ...FIELDS, cost: 1e-7 }), /"cost": 1e-07,/)
    assert.match(await signingText({ ...FIELDS, cost: 1 }), /"cost": 1,/)
    assert.match(await signingText({ ...FIELDS, cost: 1 }, '1.0'), /"cost": 1\.0,/)
  })

  test('a ticket has the five members, and its body spells the cost as it was signed', async () => {
    const { answer, body } = await issueTicket(keys, { ...FIELDS, cost: 3 }, '3.0')
    assert.deepEqual(JSON.parse(body.toString()), answer)
    assert.deepEqual(answer, { ...FIELDS, cost: 3, signature: answer.signature })
    assert.match(body.toString(), /,"cost":3\.0}$/)
    assert.ok(isSigned(await signingText(answer, '3.0'), answer.signature))
    assert.ok(!isSigned(await signingText(answer, '3'), answer.signature))
  })

  test('a cost that is no number above 0 is never signed', async () => {
    for (const cost of [0, -1, NaN, Infinity]) await assert.rejects(issueTicket(keys, { ...FIELDS, cost }), RangeError)
  })

  test('a Python worker that reads the answer finds the signature valid, whatever the cost and the endpoint', async (t) => {
    const costs = [256, 0.5, 1e-7, 1e21, 1e16, 0.1, 3.0, 1, 123456789012345680000, 5e-324, Number.MAX_VALUE, 1 / 3]
    const spellings: [number, string][] = [
      [3, '3.0'],
      [1e16, '1e16'],
      [1, '1E0'],
      [1e21, `1${'0'.repeat(21)}`],
    ]
    const endpoints = ['hello-world', 'a,b', 'modèle-😀', 'quote"\\\u007f\n\u2028']
    const issued = await Promise.all([
      ...costs.map((cost) => issueTicket(keys, { ...FIELDS, cost })),
      ...spellings.map(([cost, spelling]) => issueTicket(keys, { ...FIELDS, cost }, spelling)),
      ...endpoints.map((endpoint) => issueTicket(keys, { ...FIELDS, endpoint, url: `http://é.example/${endpoint}` })),
    ])
    const texts = await pythonSigningTexts(issued.map(({ body }) => body.toString()))
    if (!texts) return t.skip('python3 is not there to compare with')
    assert.equal(texts.length, issued.length)
    for (const [i, { answer, body }] of issued.entries())
      assert.ok(isSigned(texts[i]!, answer.signature), body.toString())
  })
})
