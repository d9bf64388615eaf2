/** The gateway with a policy of choice and all the policy's times at a tenth: `node gatewayMain.ts POLICY`. `without kinds`
 * is the usual one, which then learns nothing of kinds of work. */
import { loadSettings } from '../../../src/config/settings.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { run } from '../../../src/run.ts'
import { SELECTION_POLICIES, type SelectionPolicyName } from './policies.ts'
import { scaledBy } from './scaledConstants.ts'

const TIME_SCALE = 0.1

const withoutKinds = process.argv[2] === 'without kinds'
const policy = (withoutKinds ? 'score' : process.argv[2]) as SelectionPolicyName
if (!(policy in SELECTION_POLICIES)) throw new Error(`unknown policy ${policy}`)
const settings = loadSettings()
const logger = createLogger({ level: settings.logLevel, format: settings.logFormat })
const constants = { ...scaledBy(TIME_SCALE), ...(withoutKinds && { kindMemoryBytes: 0 }) }
await run(settings, logger, { policy: SELECTION_POLICIES[policy], constants, followPeriodSeconds: TIME_SCALE })
