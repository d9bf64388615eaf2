/** The published SDK of Vast, as a client that gets tickets, and as a worker that reports and checks them. */
import { spawn, spawnSync } from 'node:child_process'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** Kept from one run to the next, beside the compiled sources of the tests. */
const FOLDER = fileURLToPath(new URL('../../../node_modules/.cache/vastai-1.9', import.meta.url))
const INSTALL_MS = 60_000
const RUN_MS = 60_000

/** The SDK and what its client and its worker import; all that it names would be five times as much. */
const PACKAGES = [
  'vastai==1.9.*',
  ...['aiohttp', 'aiosignal', 'aiohappyeyeballs', 'frozenlist', 'multidict', 'yarl', 'propcache', 'idna', 'attrs'],
  ...['typing_extensions', 'anyio', 'psutil', 'pycryptodome', 'requests', 'urllib3', 'certifi', 'charset-normalizer'],
  ...['python-dateutil', 'six', 'setuptools'],
]

/** Installs the SDK where it is not yet. Returns why it cannot be used, or `false`. */
export async function sdkIsMissing(): Promise<string | false> {
  if (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0) return 'python3 with pip is not there'
  if (await isThere()) return false
  const draft = `${FOLDER}.${process.pid}`
  await mkdir(draft, { recursive: true })
  try {
    const more = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-compile', '--only-binary', ':all:']
    const bounds = ['--retries', '0', '--timeout', '10', '--no-deps', '--target', draft]
    const args = ['-m', 'pip', 'install', ...more, ...bounds, ...PACKAGES]
    const { status, signal, stderr } = spawnSync('python3', args, { timeout: INSTALL_MS, encoding: 'utf8' })
    if (status !== 0) return `the SDK cannot be installed: ${signal ?? stderr.trim().split('\n').at(-1)}`
    // Another run may have been faster.
    await rename(draft, FOLDER).catch(() => undefined)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  const imports = 'import setuptools, vastai.serverless.client.client, vastai.serverless.server.lib.backend'
  const { status, stderr } = spawnSync('python3', ['-c', imports], { env: environment(), encoding: 'utf8' })
  return status === 0 ? false : `the SDK cannot be used with this Python: ${stderr.trim().split('\n').at(-1)}`
}

async function isThere(): Promise<boolean> {
  return access(FOLDER).then(
    () => true,
    () => false,
  )
}

function environment(more: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', PYTHONPATH: FOLDER, VAST_LOG_LEVEL: 'error', ...more }
}

/** One worker is loading, then loaded; a client asks all the while, and once more when a worker fails. */
const SCRIPT = `
import asyncio, json, os, ssl, sys, types
import setuptools  # It has the distutils that the worker imports.
import aiohttp
from Crypto.PublicKey import RSA
from vastai.serverless.client.client import Serverless
from vastai.serverless.client.endpoint import Endpoint
from vastai.serverless.server.lib.backend import Backend
from vastai.serverless.server.lib.data_types import AuthData
from vastai.serverless.server.lib.metrics import Metrics

gateway = os.environ["GATEWAY"]

def checker(pem):
    backend = types.SimpleNamespace(unsecured=False, _pubkey=RSA.import_key(pem), reqnum=-1)
    return lambda data: Backend._Backend__check_signature(backend, AuthData.from_json_msg(data))

async def main():
    client = Serverless(api_key="the-key", autoscaler_url=gateway, max_poll_interval=0.2)
    # Its own would be fetched from Vast.
    client._ssl_context = ssl.create_default_context()
    alone, pair = (Endpoint(client=client, name=name, id=1, api_key="the-key") for name in ("alone", "pair"))
    worker = Metrics()
    send = worker._Metrics__send_metrics_and_reset
    worker.update_pending = True
    await send()
    reported = {"loading": not worker.update_pending}
    request = alone.request("/work", {"n": 1}, cost=0.0, timeout=30)
    while request.status != "Polling" and not request.done():
        await asyncio.sleep(0.05)
    worker._model_loaded(100.5)
    worker.update_pending = True
    await send()
    reported["loaded"] = not worker.update_pending
    first = await request
    second = await pair.request("/fails-once", {"n": 2}, timeout=30)
    async with aiohttp.ClientSession() as http:
        async with http.get(gateway + "/pubkey/") as answer:
            accepts = checker(await answer.text())
    forged = {**first["auth_data"], "url": "http://127.0.0.1:1"}
    await client.close()
    await worker.aclose()
    print(json.dumps({
        "reported": reported, "answers": [first["response"], second["response"]],
        "tickets": [first["auth_data"], second["auth_data"]],
        "accepted": [accepts(first["auth_data"]), accepts(second["auth_data"]), accepts(forged)],
    }))

asyncio.run(main())
`

export interface SdkOutcome {
  readonly reported: { readonly loading: boolean; readonly loaded: boolean }
  readonly answers: readonly unknown[]
  readonly tickets: readonly { readonly url: string; readonly request_idx: number; readonly cost: number }[]
  /** Whether the SDK's worker accepts the two tickets, and one that was tampered with. */
  readonly accepted: readonly boolean[]
}

/** Runs the SDK against a gateway; its worker, at a port of 127.0.0.1, reports itself with the key of operators. */
export async function runSdk(gatewayUrl: string, workerPort: number, opsKey: string): Promise<SdkOutcome> {
  const reportUrl = gatewayUrl.replace('://', `://worker:${opsKey}@`)
  const env = environment({
    ...{
      GATEWAY: gatewayUrl,
      CONTAINER_ID: '1',
      REPORT_ADDR: reportUrl,
      PUBLIC_IPADDR: '127.0.0.1',
      MASTER_TOKEN: 'its-secret',
    },
    ...{ WORKER_PORT: '3000', VAST_TCP_PORT_3000: String(workerPort) },
  })
  const child = spawn('python3', ['-c', SCRIPT], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS })
  const [said, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  if (said === '') throw new Error(`the SDK failed:\n${errors}`)
  return JSON.parse(said) as SdkOutcome
}
