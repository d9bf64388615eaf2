import assert from 'node:assert/strict'
import { constants, generateKeyPairSync, verify } from 'node:crypto'
import type { KeyPairKeyObjectResult } from 'node:crypto'
import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ephemeralTicketKeys, openTicketKeys } from '../../../src/lookup/tickets/keys.ts'

async function newKeyFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ticket-keys-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'ticket-key.pem')
}

const modeOf = async (file: string) => (await stat(file)).mode & 0o777

test('a key pair is made at the first start and is the same at the next', async (t) => {
  const file = await newKeyFile(t)
  const first = await openTicketKeys(file)
  const second = await openTicketKeys(file)
  assert.equal(second.publicKeyPem, first.publicKeyPem)
  assert.match(first.publicKeyPem, /^-----BEGIN PUBLIC KEY-----\n[^]+\n-----END PUBLIC KEY-----\n$/)
  assert.equal(await second.sign('text'), await first.sign('text'))
})

test('the file is readable by its owner only, and nothing else is left beside it', async (t) => {
  const file = await newKeyFile(t)
  await openTicketKeys(file)
  assert.equal(await modeOf(file), 0o600)
  assert.deepEqual(await readdir(dirname(file)), ['ticket-key.pem'])
  assert.match(await readFile(file, 'utf8'), /^-----BEGIN PRIVATE KEY-----/)
})

test('a file that others may read is closed to them', async (t) => {
  const file = await newKeyFile(t)
  await openTicketKeys(file)
  await chmod(file, 0o644)
  await openTicketKeys(file)
  assert.equal(await modeOf(file), 0o600)
})

test('of several that start together one makes the key and all use it', async (t) => {
  const file = await newKeyFile(t)
  const all = await Promise.all(Array.from({ length: 4 }, () => openTicketKeys(file)))
  assert.equal(new Set(all.map(({ publicKeyPem }) => publicKeyPem)).size, 1)
  assert.equal((await openTicketKeys(file)).publicKeyPem, all[0]?.publicKeyPem)
  assert.equal((await readdir(dirname(file))).length, 1)
})

test('a broken key file is refused by name and kept as it is, never written over', async (t) => {
  const file = await newKeyFile(t)
  await openTicketKeys(file)
  const sound = await readFile(file, 'utf8')
  const pemOf = ({ privateKey }: KeyPairKeyObjectResult) =>
    privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const broken: [string, RegExp][] = [
    ['', /holds no readable private key in PEM/],
    [sound.slice(0, sound.length / 2), /holds no readable private key in PEM/],
    ['not a key', /holds no readable private key in PEM/],
    [pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' })), /holds a key of type ec, not rsa/],
    [pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 })), /holds a key of 1024 bits/],
  ]
  for (const [text, why] of broken) {
    await writeFile(file, text)
    await assert.rejects(openTicketKeys(file), (error: Error) => {
      assert.match(error.message, why)
      assert.ok(error.message.includes(file) && error.message.includes('move it away'), error.message)
      return true
    })
    assert.equal(await readFile(file, 'utf8'), text)
  }
})

test('a place where no file can be is refused by name', async (t) => {
  const file = await newKeyFile(t)
  await openTicketKeys(file)
  await assert.rejects(openTicketKeys(join(file, 'below')), /The ticket key file .* cannot be read/)
  await assert.rejects(openTicketKeys(dirname(file)), /The ticket key file .* cannot be read/)
  await assert.rejects(
    openTicketKeys(join(dirname(file), 'no-folder', 'key.pem')),
    /The ticket key file .* cannot be written/,
  )
  const link = join(dirname(file), 'link.pem')
  await symlink(join(dirname(file), 'nowhere.pem'), link)
  await assert.rejects(openTicketKeys(link), /The ticket key file .* leads nowhere/)
})

test('a signature is RSA PKCS#1 v1.5 over SHA-256 of the text’s UTF-8, with 2,048 bits', async () => {
  const keys = await ephemeralTicketKeys()
  const signature = Buffer.from(await keys.sign('é'), 'base64')
  assert.equal(signature.length, 256)
  const key = { key: keys.publicKeyPem, padding: constants.RSA_PKCS1_PADDING }
  assert.ok(verify('sha256', Buffer.from([0xc3, 0xa9]), key, signature))
})

test('keys that live as long as the process differ each time', async () => {
  const [first, second] = await Promise.all([ephemeralTicketKeys(), ephemeralTicketKeys()])
  assert.notEqual(first.publicKeyPem, second.publicKeyPem)
})
