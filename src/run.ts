import cluster from 'node:cluster'
import { parseStateUrl } from './base/stateUrl.ts'
import type { Settings } from './config/settings.ts'
import { start, type Overrides } from './main.ts'
import { openOwnLedger } from './state.ts'
import { tellFirstSteps, type FirstSteps } from './observability/firstSteps.ts'
import type { Logger } from './observability/logger.ts'
import { commandBySignals, type Commanded } from './signals.ts'
import { Primary } from './workers/primary.ts'
import { Workplace } from './workers/workplace.ts'

/** One caller may hold a quarter of a process's memory budget, and one request body must fit into that. */
const BODIES_IN_BUDGET = 4
/** A worker that does not answer for so many REPLICA_TIMEOUTs hangs; but no long work of its own may count as that, seconds. */
const TIMEOUTS_OF_HANGING = 3
const SHORTEST_HANG_SECONDS = 5

/**
 * Runs the gateway until SIGTERM or SIGINT ends it: the first drains, a second one ends at once. SIGHUP rereads all files, SIGUSR2
 * replaces the workers. With several workers this process is their primary, or one of them. Rejects if it cannot start.
 */
export async function run(settings: Settings, logger: Logger, overrides: Overrides = {}): Promise<void> {
  if (cluster.isWorker) return work(settings, logger, overrides)
  // Before anything is started: the first process of a container never sees a signal that it has no handler for.
  const starting = Promise.withResolvers<Commanded>()
  commandBySignals(starting.promise, logger, settings.drainTimeoutSeconds)
  const commanded = settings.workers > 1 ? startPrimary(settings, logger) : startAlone(settings, logger, overrides)
  commanded.then(starting.resolve, starting.reject)
  await commanded
}

async function startAlone(settings: Settings, logger: Logger, overrides: Overrides): Promise<Commanded> {
  const gateway = await start(settings, logger, overrides)
  tellFirstSteps(firstSteps(settings, gateway.port), logger)
  return { stop: () => gateway.stop(), reread: () => gateway.reread(), rotate: undefined }
}

async function startPrimary(settings: Settings, logger: Logger): Promise<Commanded> {
  // Gateways that share Redis need no primary between them and it.
  const isShared = parseStateUrl(settings.stateUrl).kind === 'redis'
  const openLedger = isShared ? undefined : () => openOwnLedger(settings, logger)
  const { workers, drainTimeoutSeconds, replicaTimeoutSeconds } = settings
  const hangSeconds = Math.max(SHORTEST_HANG_SECONDS, TIMEOUTS_OF_HANGING * replicaTimeoutSeconds)
  const primary = await Primary.start({ workers, hangSeconds, drainTimeoutSeconds, openLedger, logger })
  tellFirstSteps(firstSteps(settings, primary.port), logger)
  return {
    stop: () => primary.stop(),
    reread: () => primary.reread(),
    rotate: () => primary.rotate(),
  }
}

function firstSteps({ ipsFile, apiUrl, registryUrl, servicesFile, host }: Settings, port: number): FirstSteps {
  return { ipsFile, servicesFile, isDiscovering: apiUrl !== '' || registryUrl !== '', host, port }
}

/** Serves as one of several workers, as the primary commands. */
async function work(settings: Settings, logger: Logger, overrides: Overrides): Promise<void> {
  const exit = async (code: number): Promise<void> => {
    await logger.flush()
    process.exit(code)
  }
  const workplace = new Workplace(() => void exit(0))
  try {
    const { hasLedger, isReplacement, via } = await workplace.start
    const ledger = hasLedger ? await workplace.openLedger() : undefined
    const gateway = await start(shareOf(settings), logger, {
      ...overrides,
      ...(ledger && { ledger }),
      workplace: { via, isReplacement, kept: workplace.kept, sum: (subject) => workplace.sum(subject) },
    })
    workplace.serves({ ...gateway, host: settings.host })
  } catch (error) {
    await workplace.failed(error as Error)
    await exit(1)
  }
}

/** What of the settings is each worker's share. */
function shareOf(settings: Settings): Settings {
  const { memoryBudgetBytes, maxBodyBytes, workers } = settings
  const share = Math.max(Math.floor(memoryBudgetBytes / workers), BODIES_IN_BUDGET * maxBodyBytes)
  const { environment } = settings
  return Object.defineProperty({ ...settings, memoryBudgetBytes: share, environment }, 'environment', {
    enumerable: false,
  })
}
