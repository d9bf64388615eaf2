/**
 * Every constant of the routing policy. Names end in their unit; all that end in `Seconds` are times, and
 * nothing else is: benchmarks scale them all. The values were found with the simulator in `test/kit/routingSimulation`.
 */
export interface PolicyConstants {
  /** Jobs that a backend is assumed to run at once until its operator says or it is learnt. Too low costs less than too high. */
  readonly assumedConcurrencyJobs: number
  /** Ends of our own jobs that it takes to learn it. */
  readonly concurrencyEvidenceJobs: number
  /** What was learnt of it is halved above this many; more than of the service time, for it seldom changes. */
  readonly concurrencyMemoryJobs: number

  /** Service time taken for granted before any job of the fleet has ended. */
  readonly firstServiceSeconds: number
  /** How many jobs the fleet's mean counts for in a node's own mean: few enough to learn fast, enough to calm noise. */
  readonly servicePriorJobs: number
  /** A node's evidence is halved above this many jobs, so that it follows a node that becomes slower. */
  readonly serviceMemoryJobs: number
  /** What was learnt of a node that ends no jobs fades towards the fleet's mean. */
  readonly serviceMemorySeconds: number
  /** Completions over which the fleet's mean service time is taken. */
  readonly fleetMemoryJobs: number
  /** Below this much evidence from our own jobs, polls also tell a service time: else look-ups alone would teach none. */
  readonly pollEvidenceJobs: number

  /** Share of a poll's surprise that is taken for steady load from elsewhere. */
  readonly steadyLoadGainRatio: number
  /** A node's record of a job expires after this, so a stream that was left counts as pending for so long at most. */
  readonly cancelledStreamSeconds: number

  /** A node is polled early after this many look-ups sent to it, since its load is then mostly a guess. */
  readonly earlyPollLookups: number
  /** Clients need this long to hand in the job after the look-up; an earlier poll would not show it. */
  readonly earlyPollDelaySeconds: number
  /** A node is not polled more often than this. */
  readonly shortestPollGapSeconds: number

  /** Below saturation load hardly matters: this much breaks ties between equally fast nodes. */
  readonly idleTiltRatio: number
  /** The same where nothing is known of how fast a node is: it fades with what is learnt. */
  readonly doubtTiltRatio: number
  /** With so much evidence a quarter of it is left. Sizes of jobs scatter too much for a few to tell nodes apart. */
  readonly doubtJobs: number
  /** How strongly a large job prefers a fast node. Higher values starve small jobs there. */
  readonly costHintRatio: number

  /** Jobs over which a kind's weight is taken, and what the weight of 1 counts for before. */
  readonly kindMemoryJobs: number
  readonly kindPriorJobs: number
  /** The same for how a node does at a kind; before, it is taken to do as at all others. */
  readonly kindNodeMemoryJobs: number
  readonly kindNodePriorJobs: number
  /** Kinds whose jobs ended longest ago are forgotten where all take more memory; 0 learns none. */
  readonly kindMemoryBytes: number

  /** Weight of the newest outcome in the failure level. */
  readonly failureGainRatio: number
  /** The failure level fades by itself with this time constant. */
  readonly failureMemorySeconds: number
  /** A node that always fails scores as if this many mean latencies slower: last, yet not out of reach. */
  readonly failurePenaltyLatencies: number
  /** Failures in a row that eject a node. */
  readonly ejectAfterFailures: number
  /** The first ejection; each further one without a success between is twice as long. */
  readonly firstEjectionSeconds: number
  readonly longestEjectionSeconds: number

  /** For how long after its last refusal a backend is compared with its siblings. */
  readonly outlierWindowSeconds: number
  /** After this, what the siblings answered lately counts half. */
  readonly siblingHalfLifeSeconds: number
  /** Refusals of one caller that follow each other no later than this belong together. */
  readonly refusalRunSeconds: number
  /** Odds above which a backend is set aside for a kind of work; the chance of a wrong decision in one window is one in this many. */
  readonly asideOdds: number
  /** Odds that are enough while the same backend is set aside for another kind: one refusal. */
  readonly associatedAsideOdds: number
  /** Odds below which one that is set aside is free again, since its siblings refuse as well. */
  readonly freeOdds: number
  /** For how long it is set aside before it is tried, and how many times longer each further time. */
  readonly firstAsideSeconds: number
  readonly longestAsideSeconds: number
  readonly asideGrowthRatio: number

  /** Empty polls in a row at which a node counts as a black hole. Three would accuse an idle fast node now and then. */
  readonly suspicionLimitPolls: number
  /** With this much predicted unseen load, an empty poll counts in full. */
  readonly suspicionFullJobs: number
  /** What the score of a black hole is multiplied with. */
  readonly suspicionPenaltyRatio: number
  /** For how long it counts as one before it is tried again; twice as long each further time. */
  readonly firstShunSeconds: number
  readonly longestShunSeconds: number

  /** Up to this many candidates all are scored. */
  readonly fullScanNodes: number
  /** Above that, so many are drawn with probability proportional to their throughput. */
  readonly sampledNodes: number
  /** Age at which the table that they are drawn from is built anew. */
  readonly sampleTableSeconds: number
  /** Age up to which a score may be reused where a ranking covers more than {@link fullScanNodes}. */
  readonly cachedScoreSeconds: number

  /** From this many nodes on, a majority that looks unhealthy points at the gateway's own network. */
  readonly panicNodes: number
}

export const DEFAULT_CONSTANTS: PolicyConstants = {
  assumedConcurrencyJobs: 3,
  concurrencyEvidenceJobs: 8,
  concurrencyMemoryJobs: 1000,
  firstServiceSeconds: 1,
  servicePriorJobs: 4,
  serviceMemoryJobs: 200,
  serviceMemorySeconds: 300,
  fleetMemoryJobs: 2000,
  pollEvidenceJobs: 8,
  steadyLoadGainRatio: 0.1,
  cancelledStreamSeconds: 900,
  earlyPollLookups: 4,
  earlyPollDelaySeconds: 0.5,
  shortestPollGapSeconds: 1,
  idleTiltRatio: 0.001,
  doubtTiltRatio: 2,
  doubtJobs: 16,
  costHintRatio: 0.5,
  kindMemoryJobs: 3000,
  kindPriorJobs: 20,
  kindNodeMemoryJobs: 200,
  kindNodePriorJobs: 60,
  kindMemoryBytes: 8 * 1024 ** 2,
  failureGainRatio: 0.3,
  failureMemorySeconds: 30,
  failurePenaltyLatencies: 100,
  ejectAfterFailures: 3,
  firstEjectionSeconds: 5,
  longestEjectionSeconds: 160,
  outlierWindowSeconds: 300,
  siblingHalfLifeSeconds: 30,
  refusalRunSeconds: 2,
  asideOdds: 2000,
  associatedAsideOdds: 12,
  freeOdds: 440,
  firstAsideSeconds: 20,
  longestAsideSeconds: 300,
  asideGrowthRatio: 2.5,
  suspicionLimitPolls: 5,
  suspicionFullJobs: 2,
  suspicionPenaltyRatio: 20,
  firstShunSeconds: 60,
  longestShunSeconds: 960,
  fullScanNodes: 100,
  sampledNodes: 5,
  sampleTableSeconds: 1,
  cachedScoreSeconds: 0.25,
  panicNodes: 4,
}
