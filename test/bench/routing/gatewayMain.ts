/** The gateway with a policy of choice and all the policy's times at a tenth: `node gatewayMain.ts POLICY`. */
import { loadSettings } from '../../../src/config/settings.ts'
import { scaledBy } from '../../../src/fleet/load/constants.ts'
import { SELECTION_POLICIES, type SelectionPolicyName } from '../../../src/fleet/load/selection.ts'
import { run } from '../../../src/main.ts'
import { createLogger } from '../../../src/observability/logger.ts'

export const TIME_SCALE = 0.1

const policy = process.argv[2] as SelectionPolicyName
if (!(policy in SELECTION_POLICIES)) throw new Error(`unknown policy ${policy}`)
const settings = loadSettings()
const logger = createLogger({ level: settings.logLevel, format: settings.logFormat })
await run(settings, logger, { policy, constants: scaledBy(TIME_SCALE), followPeriodSeconds: TIME_SCALE })
