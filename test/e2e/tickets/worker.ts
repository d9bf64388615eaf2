/** The other side of a ticket: a worker in Python, with nothing of ours, checks what a client hands it. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { tempDir } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** Reads the answer as it came, writes what is signed as workers of its dialect do, checks the signature over that. */
const CHECK = `
import base64, json, os, subprocess, sys, tempfile
pem, answers = sys.argv[1], json.load(sys.stdin)

def verify_with_library(message, signature):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    with open(pem, "rb") as file:
        key = serialization.load_pem_public_key(file.read())
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        return True
    except InvalidSignature:
        return False

def verify_with_openssl(message, signature):
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", pem, "-signature", file.name]
        return subprocess.run(command, input=message, capture_output=True).returncode == 0

try:
    import cryptography
    verify = verify_with_library
except ImportError:
    verify = verify_with_openssl

def check(answer):
    data = json.loads(answer)
    if "request_idx" in data:
        message = json.dumps({"url": data["url"]}, indent=4, sort_keys=True)
    else:
        names = ("cost", "endpoint", "reqnum", "url")
        message = json.dumps({name: data[name] for name in names}, indent=4)
    return verify(message.encode(), base64.b64decode(data["signature"]))

print(json.dumps([check(answer) for answer in answers]))
`

/** Why no worker can be played here, or `false`. */
export const isMissing: string | false = whatIsMissing()

function whatIsMissing(): string | false {
  const succeeds = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0
  if (!succeeds('python3', '--version')) return 'python3 is not there'
  if (succeeds('python3', '-c', 'import cryptography') || succeeds('openssl', 'version')) return false
  return "neither Python's cryptography nor openssl is there"
}

/** Whether each answer of `POST /route/` holds, by the public key that `GET /pubkey/` gave. */
export async function workerAccepts(t: Cleanup, pem: string, answers: readonly string[]): Promise<boolean[]> {
  const file = join(await tempDir(t), 'key.pem')
  await writeFile(file, pem)
  const child = spawn('python3', ['-c', CHECK, file], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(answers))
  const said = await text(child.stdout)
  assert.notEqual(said, '', 'the worker failed')
  return JSON.parse(said) as boolean[]
}
