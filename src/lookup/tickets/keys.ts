import { createPrivateKey, createPublicKey, generateKeyPair, randomUUID, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { chmod, link, open, readFile, rename, rm } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Signs tickets, and shows workers how to check them. */
export interface TicketKeys {
  /** The public key as PEM (SubjectPublicKeyInfo), ending in a new line. */
  readonly publicKeyPem: string
  /** Base64 of RSA PKCS#1 v1.5 over SHA-256 of the text's UTF-8. Runs beside the event loop, about 1 ms. */
  sign(text: string): Promise<string>
  /** Looks after it no longer. */
  close(): void
}

const KEY_BITS = 2048

/**
 * The key pair in a file, made there where there is none: workers that fetched the public key once can go on with it
 * after a restart. The folder must be there. Throws an Error that names the file where it holds no usable key, or cannot be read or written.
 */
export async function openTicketKeys(keyFile: string): Promise<TicketKeys> {
  const kept = await readKey(keyFile)
  if (kept) return keysFrom(kept)
  const made = await newKeyPem()
  if (await writeOnce(keyFile, made)) return keysFrom(createPrivateKey(made))
  const another = await readKey(keyFile)
  if (!another) throw new Error(`The ticket key file ${keyFile} leads nowhere`)
  return keysFrom(another)
}

/**
 * The key pair in a file that its operator has put there, the same for several gateways. Throws an Error that names the file where
 * it is missing, cannot be read or holds no usable key; the file is left as it is.
 */
export async function readTicketKeys(keyFile: string): Promise<TicketKeys> {
  const pem = await readIfThere(keyFile)
  if (pem === undefined) throw new Error(`The ticket key file ${keyFile} does not exist`)
  return keysFrom(parseKey(pem, `The ticket key file ${keyFile}`, 'Put an RSA key in PEM there'))
}

/** A key pair that lives as long as the process. */
export async function ephemeralTicketKeys(): Promise<TicketKeys> {
  return keysFrom(createPrivateKey(await newKeyPem()))
}

/** The key pair in a text that all gateways have. Throws an Error where it holds no usable key. */
export function ticketKeysIn(pem: string): TicketKeys {
  return keysFrom(parseKey(pem, 'The shared ticket key', 'Delete it to have a new one made'))
}

/** A new private key as PEM (PKCS#8). */
export async function newKeyPem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: KEY_BITS })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

function keysFrom(privateKey: KeyObject): TicketKeys {
  return {
    publicKeyPem: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string,
    sign: (text) =>
      new Promise((resolve, reject) => {
        // Only with a callback does the work leave the event loop. PKCS#1 v1.5 is the padding that RSA keys start with.
        sign('sha256', Buffer.from(text), privateKey, (error, signature) =>
          error ? reject(error) : resolve(signature.toString('base64')),
        )
      }),
    close: () => {},
  }
}

async function readKey(keyFile: string): Promise<KeyObject | undefined> {
  const pem = await readIfThere(keyFile)
  if (pem === undefined) return undefined
  // What a copy or a backup has opened to others. On a read-only mount the operator has the last word.
  await chmod(keyFile, 0o600).catch(() => undefined)
  return parseKey(
    pem,
    `The ticket key file ${keyFile}`,
    'Put it back from a backup, or move it away to have a new one made',
  )
}

function parseKey(pem: string, what: string, advice: string): KeyObject {
  const refuse = (why: string, cause?: unknown) => new Error(`${what} ${why}. ${advice}`, { cause })
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw refuse('holds no readable private key in PEM', error)
  }
  if (key.asymmetricKeyType !== 'rsa') throw refuse(`holds a key of type ${key.asymmetricKeyType}, not rsa`)
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < KEY_BITS) throw refuse(`holds a key of ${bits} bits, fewer than ${KEY_BITS}`)
  return key
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new Error(`The ticket key file ${file} cannot be read`, { cause: error })
  }
}

/**
 * Writes a file that only its owner may read, whole or not at all, unless it is there already. Returns whether it was
 * written: of two processes that start together, one wins.
 */
async function writeOnce(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}.tmp`
  try {
    await writeDurably(draft, text)
    await putInPlace(draft, file)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw new Error(`The ticket key file ${file} cannot be written`, { cause: error })
  } finally {
    await rm(draft, { force: true })
  }
}

/** A link, unlike a rename, never replaces a file; but not every file system has links. */
async function putInPlace(draft: string, file: string): Promise<void> {
  try {
    await link(draft, file)
  } catch (error) {
    if (isCode(error, 'EEXIST')) throw error
    await rename(draft, file)
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  await using handle = await open(file, 'wx', 0o600)
  await handle.writeFile(text)
  await handle.sync()
}

function isCode(error: unknown, code: string): boolean {
  return (error as { code?: unknown } | null)?.code === code
}
