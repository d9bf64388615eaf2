import { amount, flag, list, map, named, object, text, wholeNumber, type Schema } from '../openApi.ts'
import { CACHE_ROWS, CACHES, seconds } from './caches.ts'
import { QUEUE } from './queue.ts'

const NAME = text('The address or name, as listed.')
const HEALTHY = flag('Whether its polls and its traffic go well.')
const ABILITIES = { containers: list(text()), models: list(text()) }
const COUNTED = {
  request_count: wholeNumber('Requests sent to it.'),
  error_count: wholeNumber('Requests that failed there.'),
  response_time: amount('To the first byte of an answer, seconds, moving mean.'),
}
const TIME: Schema = { type: 'string', format: 'date-time' }

const DRAIN: Schema = {
  type: ['string', 'null'],
  enum: ['draining', 'drained', null],
  description: 'It gets no new work, and some is under way, or none any more. Null: it gets work.',
}

const NODE_STATS = object(
  {
    name: NAME,
    kind: { type: 'string', enum: ['infernet', 'openai'] },
    healthy: HEALTHY,
    drain: DRAIN,
    reason: text('Why it is not.'),
    several_nodes: flag('Several nodes answer in turn at its address: a job unknown there is not run again.'),
    advice: text('How to list them.'),
    ...COUNTED,
    in_flight: wholeNumber('Requests that are open there.'),
    pending: wholeNumber(
      'Unfinished jobs by its own count at the last poll; of a service, the requests that it runs and that wait there.',
    ),
    unfinished: wholeNumber("This gateway's requests and jobs there that have not ended."),
    load: amount('Estimated jobs there, from all clients.'),
    unseen: { type: 'number', description: 'Of these, jobs that this gateway did not see itself.' },
    service_time: amount('What a job takes there once it runs, seconds, as learnt.'),
    concurrency: amount('Jobs that it runs at once.'),
    kinds: map(
      amount('1 is as at other kinds, 2 twice as long.'),
      'How long it takes for kinds of work over what is usual for the kind and for it, as learnt: the ten furthest from 1.',
    ),
    score: amount('What it is chosen by: the lowest wins.'),
    failure_level: amount('Share of recent requests that failed, fading with time.'),
    black_hole_suspicion: amount('Polls that showed no work although work was sent.'),
    ejected_until: { ...TIME, type: ['string', 'null'], description: 'Until when failing traffic keeps it out.' },
    avoided: list(
      object({
        kind: text('Its container, containers, or model and path.'),
        reason: text('Such as: answers 500 to 94 % where its siblings answer 1 %.'),
        until: { ...TIME, description: 'When a request may try it again.' },
      }),
      'Kinds of work for which it is set aside, because it answers them worse than its siblings.',
    ),
    why_avoided: list(
      object({
        cause: {
          type: 'string',
          enum: [
            ...['not_polled', 'down', 'not_ready', 'ejected', 'on_trial', 'set_aside', 'resting', 'failing', 'slow'],
            ...['no_work_seen', 'image_conflict', 'draining'],
          ],
        },
        kind: { type: ['string', 'null'], description: 'The kind of work that it is about; null: all of its work.' },
        text: text('The same for people, with figures.'),
        until: {
          ...TIME,
          type: ['string', 'null'],
          description: 'When that ends; null where it is no matter of time.',
        },
      }),
      'Why it gets less work than others, or none. Of an image conflict: why its results may be others.',
    ),
    down_since: { ...TIME, type: ['string', 'null'], description: 'Since when its polls fail; null while it is up.' },
    last_asked: { ...TIME, type: ['string', 'null'], description: 'When its last poll began.' },
    service_time_from: {
      type: 'string',
      enum: ['learnt', 'fleet', 'default'],
      description: 'Whether its own jobs have taught `service_time`; else it is the mean of the fleet, or a default.',
    },
    concurrency_from: {
      type: 'string',
      enum: ['set', 'learnt', 'default'],
      description: 'Whether `concurrency` is given in its list, learnt from its jobs, or a default.',
    },
    ...ABILITIES,
    ...CACHES,
  },
  ['reason', 'advice', 'containers', 'models', ...Object.keys(CACHES)],
)

const REPLICAS = {
  ...object({
    self: text('The name of this one; drawn anew at each start, and when the others took it for dead.'),
    sure: flag('Whether no other can have taken over the jobs of this one.'),
    list: list(
      object({
        replica: text('Its name.'),
        jobs: wholeNumber('Unfinished jobs that it looks after.'),
        state: {
          type: 'string',
          enum: ['alive', 'leaving', 'gone'],
          description: '`leaving`: it drains; `gone`: it is dead, and its jobs wait to be taken over.',
        },
      }),
      'This one first, then those with the most jobs.',
    ),
  }),
  description: "The gateways that share the ledger. Absent where it is this one's alone.",
}

const counts = (description: string): Schema => list({ type: 'integer', minimum: 0 }, description)
const times = (description: string): Schema => list({ type: ['number', 'null'] }, description)

const ACTIVITY = {
  ...object({
    period_seconds: wholeNumber('Length of a period.'),
    newest_seconds: amount('How much of the last period is over, seconds.'),
    counted_seconds: amount('For how long has been counted, seconds; at most all periods together.'),
    succeeded: counts('Requests that were answered well.'),
    refused: counts('Requests that the client has to send otherwise, or less often: 4xx.'),
    failed: counts(
      'Requests that got an error, or no whole answer, through no fault of the client: 5xx, 429 of a backend.',
    ),
    left: counts('Requests whose client did not wait for the answer.'),
    jobs_succeeded: counts('Jobs that ended well.'),
    jobs_failed: counts('Jobs that failed.'),
    jobs_rerun: counts('Jobs that were run again because their node lost them.'),
    p50: times('Median time of requests that a backend served, seconds, within 30 %; null where there were none.'),
    p95: times('The same for the time that 95 % of them did not exceed.'),
    p50_of_all: seconds('The median over all periods.'),
    p95_of_all: seconds('The 95th percentile over all periods.'),
    faults: map(
      object({
        source: { type: 'string', enum: ['client', 'gateway', 'upstream'], description: 'Who has to act on it.' },
        meaning: text('For people.'),
        counts: counts('Requests, and items of batches.'),
      }),
      'By fault code: those that occurred.',
    ),
  }),
  description:
    'What clients asked for and got in the last 15 minutes. Lists are by period, the oldest first; the last one is not over yet. Pages such as `/health` and `/stats` do not count.',
}

const WORK = {
  name: { type: ['string', 'null'], description: 'Null: all others together.' },
  requests: wholeNumber('All of them, whatever became of them.'),
  refused: wholeNumber('4xx.'),
  failed: wholeNumber("Errors that are not the client's."),
  first_byte_p50: seconds('Median time from sending a request to the first byte of its answer, seconds.'),
  first_byte_p95: seconds('The time that 95 % of them did not exceed.'),
} as const

const JOB_RECORD = object({
  id: text('As its client knows it.'),
  state: { type: 'string', enum: ['running', 'success', 'failed'] },
  kind: { type: 'string', enum: ['job', 'stream'] },
  caller: text('Whose it is.'),
  client_address: text('Where it came from.'),
  containers: list(text()),
  node: text('Where it runs, or ran last.'),
  node_job_id: text('As that node knows it.'),
  runs: wholeNumber('How many times it was started.'),
  created_at: TIME,
  run_started_at: TIME,
  finished_at: { ...TIME, type: ['string', 'null'] },
  failover: flag('Whether it may be run again elsewhere.'),
  client_gone: flag('A stream whose client left before its end.'),
  cost: { type: ['number', 'null'], description: 'As its client hinted.' },
  error: { type: ['string', 'null'], description: 'Why it failed, where its result says so; at most 500 characters.' },
})

/** What is told of the gateway itself. */
export const WATCHING_SCHEMAS: Readonly<Record<string, Schema>> = {
  Health: object(
    {
      status: { type: 'string', enum: ['healthy', 'unhealthy', 'draining'] },
      degraded: flag('Whether only a part can be served: some backends are down, or jobs cannot be recorded.'),
      reason: text('Why it is not healthy, or why jobs cannot be recorded.'),
      router: { type: 'string', enum: ['running'] },
      healthy_services: { type: 'string', pattern: '^\\d+/\\d+$', examples: ['2/3'] },
      timestamp: TIME,
      version: text("The gateway's."),
    },
    ['reason'],
  ),
  Alive: object({ status: { type: 'string', enum: ['alive'] } }),
  Readiness: object({ status: { type: 'string', enum: ['ready', 'not ready'] }, reason: text() }, ['reason']),
  Services: object({
    services: list(
      object(
        {
          name: NAME,
          url: text(),
          healthy: HEALTHY,
          ...ABILITIES,
          host: text('Of the url.'),
          port: wholeNumber('Of the url.'),
          weight: amount('As the services file or the registry gives it, else 1.'),
          ...COUNTED,
          metadata: {
            type: 'object',
            additionalProperties: true,
            description: 'As the registry gives it, else its `type` alone: `infernet-node` or `openai-api`.',
          },
        },
        ['containers', 'models'],
      ),
      'Infernet nodes, which have containers, and OpenAI-compatible services, which have models.',
    ),
    total: wholeNumber('How many there are.'),
  }),
  ImageConflict: {
    ...object({ container: text(), images: map(list(text(), 'Node names.'), 'By image.') }),
    description: 'One container id that stands for different images.',
  },
  BadLine: {
    ...object({
      setting: { type: 'string', enum: ['IPS_FILE', 'SERVICES_FILE', 'KEYS_FILE'] },
      line: { type: ['integer', 'null'], minimum: 1, description: 'Where it is known.' },
      entry: { type: ['string', 'null'], description: 'What stands there, without secrets, or the name of the entry.' },
      reason: text('What is wrong with it.'),
    }),
    description: 'A line, or an entry, of a file that was skipped when the file was last read.',
  },
  NodeStats: NODE_STATS,
  JobRecord: JOB_RECORD,
  JobsPage: object({
    jobs: list(named('JobRecord')),
    next: {
      type: ['string', 'null'],
      description: 'Where the next page begins: `after` of the next question. Null: this is the last one.',
    },
  }),
  Drain: object({
    name: NAME,
    drain: DRAIN,
    unfinished: wholeNumber('Requests and jobs of this gateway that are under way there.'),
  }),
  Stats: object(
    {
      total_services: wholeNumber('Backends.'),
      healthy_services: wholeNumber('Healthy ones, those included that are drained.'),
      draining_services: wholeNumber('Those that get no new work.'),
      services: list(named('NodeStats')),
      activity: ACTIVITY,
      models: list(
        object({
          ...WORK,
          prompt_tokens: wholeNumber('As the answers told them.'),
          completion_tokens: wholeNumber('As the answers told them.'),
          ...CACHES,
        }),
        'Models that were asked for in the last 15 minutes, those with the most requests first, at most 100.',
      ),
      containers: list(
        object({
          ...WORK,
          jobs_succeeded: wholeNumber('Jobs that ended well.'),
          jobs_failed: wholeNumber('Jobs that failed.'),
          jobs_rerun: wholeNumber('Jobs that were run again because their node lost them.'),
        }),
        'Containers that jobs were submitted for in the last 15 minutes; the same.',
      ),
      caches: CACHE_ROWS,
      queue: QUEUE,
      running_requests: wholeNumber('Requests that have no whole answer yet, this one included.'),
      jobs: object(
        {
          unfinished: wholeNumber('Jobs without a final state.'),
          recorded: wholeNumber('All jobs in the ledger.'),
          kept_bytes: wholeNumber('Kept requests and results.'),
          recordable: flag('Whether jobs can be recorded at the moment.'),
          reason: text('Why they cannot.'),
        },
        ['reason'],
      ),
      memory: object({
        budget_bytes: wholeNumber('`MEMORY_BUDGET`.'),
        used_bytes: wholeNumber('Request bodies and collected answers of callers.'),
        own_bytes: wholeNumber("Collected answers of the gateway's own calls."),
        refused: object({
          caller: wholeNumber("Without room in their caller's share."),
          budget: wholeNumber('Without room in the budget.'),
          own: wholeNumber("The gateway's own, which are tried again."),
        }),
      }),
      fleet: object({
        service_time: amount('Mean over all backends, seconds.'),
        mean_latency: amount('Mean over all requests, seconds.'),
        kinds: list(
          object({
            kind: { ...text('Its containers or its model.'), examples: ['containers:prepare,llm', 'model:llama3'] },
            weight: amount('What a job of it costs, in mean jobs.'),
            jobs: wholeNumber('Jobs of it that ended well.'),
          }),
          'Kinds of work, those with the most jobs first, at most fifty.',
        ),
      }),
      image_conflicts: list(named('ImageConflict')),
      bad_lines: list(named('BadLine'), 'At most a hundred.'),
      bad_lines_total: wholeNumber('How many there are.'),
      replicas: REPLICAS,
      workers: wholeNumber('Workers that this is the sum of. Absent where one process serves.'),
      version: text("The gateway's."),
      uptime: wholeNumber('Seconds.'),
      draining: flag('Whether it is shutting down.'),
    },
    ['replicas', 'workers'],
  ),
  Model: {
    ...object({
      id: text('The name to ask for.'),
      object: text(),
      created: {
        type: 'number',
        description: 'Seconds since 1970. Where its service does not say: when the gateway first knew the service.',
      },
      owned_by: text('Where its service does not say: the name of the service.'),
    }),
    additionalProperties: true,
    description: 'As its service lists it, with these members added where it leaves them out.',
  },
  Models: object({
    object: { type: 'string', enum: ['list'] },
    data: list(named('Model')),
  }),
}
