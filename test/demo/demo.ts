/** The product on one screen: a gateway in front of simulated backends, and some work sent through it. */
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { endOnSignal } from '../kit/endOnSignal.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { launchGateway, portOrAny } from './gatewayProcess.ts'
import { Screen } from './screen.ts'
import { show, SPEEDS } from './show.ts'

/** Where a gateway listens unless its settings say otherwise, so that the commands in the documents can be pasted. */
const USUAL_PORT = 4000

const USAGE = `Usage: npm run demo [-- option …]

Starts a gateway in front of three simulated Infernet nodes of different speed and a simulated OpenAI-compatible
service, sends jobs, a stream and a chat through it, and stays up for you to try. Ctrl-C ends it all; nothing is left.

  --once      end after the run
  --port N    where the gateway listens on 127.0.0.1; by default ${USUAL_PORT}, or any free port if that one is taken
  --help, -h  print this help and exit
`

interface Options {
  readonly once: boolean
  readonly port: number | undefined
  readonly help: boolean
}

/** Throws where an argument is none of those that the usage names. */
function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: { once: { type: 'boolean' }, port: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  const { once = false, port, help = false } = values
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) < 65_536)) throw new Error('--port needs a port')
  return { once, port: port === undefined ? undefined : Number(port), help }
}

/** What gives back what was started, the last first. */
class Endings {
  readonly #all: (() => unknown)[] = []
  #ended: Promise<void> | undefined

  add(ending: () => unknown): void {
    this.#all.push(ending)
  }

  get hasBegun(): boolean {
    return this.#ended !== undefined
  }

  /** Does them all, once, whoever asks how often. */
  run(): Promise<void> {
    return (this.#ended ??= this.#run())
  }

  async #run(): Promise<void> {
    for (const ending of this.#all.reverse()) await ending()
  }
}

async function main({ once, port }: Options): Promise<void> {
  const screen = new Screen(process.stdout)
  const endings = new Endings()
  // From the start on, so that nothing is left wherever the end comes.
  endOnSignal(() => {
    screen.line()
    return endings.run()
  })
  // The reader of the pipe, such as `head`, or the terminal has gone.
  process.stdout.on('error', () => void endings.run().finally(() => process.exit(0)))
  screen.line(screen.paint('bold', 'Infernet Gateway') + ' — one address for a fleet')
  try {
    const { url, nodes } = await startAll(endings, port)
    await show(screen, url, nodes)
  } catch (error) {
    // What is shown breaks where the gateway under it is ended.
    if (endings.hasBegun) return
    await endings.run()
    throw error
  }
  if (once) return endings.run()
  screen.line()
  screen.line('All of it stays up. Ctrl-C ends it.')
}

/** Rejects where something does not start. */
async function startAll(endings: Endings, port: number | undefined): Promise<{ url: string; nodes: string[] }> {
  const cwd = mkdtempSync(join(tmpdir(), 'infernet-gateway-demo-'))
  endings.add(() => rm(cwd, { recursive: true, force: true }))
  const nodes: string[] = []
  for (const { seconds, concurrency } of SPEEDS) {
    const node = await startFakeNode({ containers: ['llm', 'summary'], speed: seconds, concurrency, rateLimit: 0 })
    endings.add(() => node.stop())
    nodes.push(node.address)
  }
  const service = await startFakeOpenAi({ pieceMs: 30 })
  endings.add(() => service.stop())
  const lines = nodes.map((address, i) => `${address} concurrency=${SPEEDS[i]?.concurrency}\n`)
  await writeFile(join(cwd, 'ips.txt'), lines.join(''))
  await writeFile(join(cwd, 'services.json'), JSON.stringify([{ name: 'chat-service', url: service.url }]))
  const gateway = launchGateway(cwd, {
    ...{ PORT: String(port ?? (await portOrAny(USUAL_PORT))), HOST: '127.0.0.1', SERVICES_FILE: 'services.json' },
    ...{ LOG_FORMAT: 'json', RATELIMIT_REQS_PER_MIN: '0', REFRESH_INTERVAL: '2', DRAIN_TIMEOUT: '2' },
  })
  endings.add(() => gateway.stop())
  return { url: await gateway.url, nodes }
}

/** The options, or undefined with a line that says what is wrong. */
function optionsOrComplaint(): Options | undefined {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${(error as Error).message.replace(/\. .*/s, '')}; --help lists the options\n`)
    process.exitCode = 2
    return undefined
  }
}

const options = optionsOrComplaint()
if (options?.help) process.stdout.write(USAGE)
else if (options) await main(options)
