/**
 * The gateway as a contender: `node gatewayMain.ts CONTENDER SCALE`. Its times are scaled as the engines' are, except
 * for the first guesses of engines' speed and the questions for their load.
 */
import { loadSettings } from '../../../src/config/settings.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { run } from '../../../src/run.ts'
import { SELECTION_POLICIES } from '../routing/policies.ts'
import { scaledBy } from '../routing/scaledConstants.ts'
import { GATEWAYS, type GatewayContender, type GatewayName } from './gateways.ts'

const { policy, warmCaches }: GatewayContender = GATEWAYS[process.argv[2] as GatewayName]
const settings = loadSettings()
const logger = createLogger({ level: settings.logLevel, format: settings.logFormat })
await run(settings, logger, {
  ...{ policy: SELECTION_POLICIES[policy], constants: scaledBy(Number(process.argv[3])) },
  ...(warmCaches && { warmCaches }),
})
