import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineCounts } from '../../../src/fleet/engines/engineLoad.ts'
import { engineCountSteps } from '../../../src/fleet/engines/metricsText.ts'
import { vllmText } from '../../kit/fakeOpenAi/metrics.ts'

function read(text: string): EngineCounts | undefined {
  const steps = engineCountSteps(Buffer.from(text))
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** As Python's client for Prometheus prints the gauges of SGLang. */
function sglang(prefix: string, ...series: (readonly [labels: string, running: number, waiting: number])[]): string {
  const lines = (name: string, index: 1 | 2): string[] => [
    `# HELP ${prefix}${name} The number of requests.`,
    `# TYPE ${prefix}${name} gauge`,
    ...series.map(
      (each) => `${prefix}${name}{engine_type="unified",model_name="org/model",${each[0]}} ${each[index]}.0`,
    ),
  ]
  return [...lines('num_running_reqs', 1), ...lines('num_queue_reqs', 2), ''].join('\n')
}

test('vLLM tells its load among histograms and longer names', () => {
  assert.deepEqual(read(vllmText('org/model', { running: 12, waiting: 3 })), { running: 12, waiting: 3 })
})

test('the engines of a data-parallel vLLM are summed', () => {
  const text = `
vllm:num_requests_running{engine="0",model_name="m"} 4.0
vllm:num_requests_running{engine="1",model_name="m"} 5.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting{engine="1",model_name="m"} 2.0
`
  assert.deepEqual(read(text), { running: 9, waiting: 2 })
})

test('SGLang tells its load under both spellings of its names', () => {
  for (const prefix of ['sglang:', 'sglang_']) {
    const text = sglang(prefix, ['tp_rank="0",pp_rank="0",moe_ep_rank="0"', 7, 1])
    assert.deepEqual(read(text), { running: 7, waiting: 1, keptSeconds: 30 })
  }
})

test('GPUs that serve the same requests count once, data-parallel ones add up', () => {
  const ranks = ['dp_rank="0",tp_rank="0"', 'dp_rank="0",tp_rank="1"', 'dp_rank="1",tp_rank="2"'] as const
  const text = sglang('sglang:', [ranks[0], 4, 1], [ranks[1], 4, 1], [ranks[2], 6, 0])
  assert.deepEqual(read(text), { running: 10, waiting: 1, keptSeconds: 30 })
})

test('parts by priority do not add to the whole', () => {
  const text = sglang('sglang:', ['priority=""', 5, 4], ['priority="0"', 2, 1], ['priority="10"', 3, 3])
  assert.deepEqual(read(text), { running: 5, waiting: 4, keptSeconds: 30 })
})

test('llama.cpp and TGI tell their load without labels', () => {
  const llama = `# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
# HELP llamacpp:requests_deferred Number of requests deferred.
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 46
`
  assert.deepEqual(read(llama), { running: 2, waiting: 46 })
  const tgi = `# TYPE tgi_queue_size gauge
tgi_queue_size 7

# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 4

# TYPE tgi_request_queue_duration histogram
tgi_request_queue_duration_sum 0.5
`
  assert.deepEqual(read(tgi), { running: 4, waiting: 7 })
  assert.deepEqual(read('tgi_queue_size 1'), { running: 0, waiting: 1 }, 'a gauge that was never set')
})

test('lines may end in CR LF, and the last one in nothing; time stamps, exponents and spaces are read', () => {
  assert.deepEqual(read('llamacpp:requests_processing 2\r\nllamacpp:requests_deferred 1\r\n'), {
    running: 2,
    waiting: 1,
  })
  assert.deepEqual(read('llamacpp:requests_deferred 1\nllamacpp:requests_processing 2'), { running: 2, waiting: 1 })
  const spaced = 'vllm:num_requests_running {a="x } y \\" z"}\t1.2e+01 1700000000000\nvllm:num_requests_waiting{} +3 '
  assert.deepEqual(read(spaced), { running: 12, waiting: 3 })
})

test('a series that is there twice counts once', () => {
  const line = 'vllm:num_requests_running{model_name="m",engine="0"} 4.0\n'
  const reordered = 'vllm:num_requests_running{engine="0",model_name="m"} 4.0\n'
  assert.deepEqual(read(line + line + reordered), { running: 4, waiting: 0 })
})

test('numbers that make no sense are passed over, and without any other the load is unknown', () => {
  for (const value of ['NaN', '+Inf', 'Infinity', '-Inf', '-1', '0.5', '1e300', 'many', '0x', '"7"', '{}']) {
    const bad = `vllm:num_requests_running{engine="1"} ${value}\n`
    assert.equal(read(bad), undefined, value)
    assert.deepEqual(read(`vllm:num_requests_running{engine="0"} 2\n${bad}`), { running: 2, waiting: 0 }, value)
  }
})

test('other texts tell no load', () => {
  for (const text of [
    '',
    '\n',
    '<html><body>vllm:num_requests_running 3</body></html>',
    '{"vllm:num_requests_running": 3}',
    '# TYPE vllm:num_requests_running gauge\n',
    'vllm:num_requests_running',
    'vllm:num_requests_running{',
    'vllm:num_requests_running{model_name="m"}',
    'vllm:num_requests_running{model_name="m} 3',
    'my_vllm:num_requests_running 3',
    'vllm:num_requests_running_total 3\nvllm:num_requests_waiting_by_reason{reason="capacity"} 3\n',
  ]) {
    assert.equal(read(text), undefined, text)
  }
})

test('two megabytes are read in steps, whatever is in them', () => {
  const name = 'vllm:num_requests_running'
  const texts = {
    histograms: 'vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="m"} 1.0\n'.repeat(25_000),
    names: name.repeat(80_000),
    openLabels: `${name}{a="`.repeat(66_000),
    lines: Array.from({ length: 40_000 }, (_, n) => `${name}{engine="${n}"} 1.0`).join('\n'),
    sameLine: `${name}{engine="0"} 1.0\n`.repeat(50_000),
  }
  for (const [what, text] of Object.entries(texts)) {
    assert.ok(text.length > 1_600_000, what)
    const steps = engineCountSteps(Buffer.from(text))
    let count = 0
    let step = steps.next()
    for (; !step.done; step = steps.next()) count++
    assert.ok(what === 'histograms' || what === 'lines' || count > 100, `${what}: ${count} steps`)
    assert.deepEqual(step.value, what === 'sameLine' ? { running: 1, waiting: 0 } : undefined, what)
  }
})
