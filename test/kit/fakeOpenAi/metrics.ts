/** The load of an engine in Prometheus' text format, as vLLM prints it among its other metrics. */
import type { Reply } from './replies.ts'

/** Buckets of a histogram, as engines have them. */
const BUCKETS = ['0.001', '0.01', '0.1', '1.0', '10.0', '+Inf']

export function metricsReply(model: string, load: { running: number; waiting: number }): Reply {
  return {
    status: 200,
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    body: Buffer.from(vllmText(model, load)),
  }
}

/** One engine of vLLM. */
export function vllmText(model: string, { running, waiting }: { running: number; waiting: number }): string {
  const labels = `engine="0",model_name=${JSON.stringify(model)}`
  return [
    ...gauge('vllm:num_requests_running', 'Number of requests in model execution batches.', labels, running),
    ...gauge('vllm:num_requests_waiting', 'Number of requests waiting to be processed.', labels, waiting),
    '# HELP vllm:num_requests_waiting_by_reason Number of waiting requests, by reason.',
    '# TYPE vllm:num_requests_waiting_by_reason gauge',
    `vllm:num_requests_waiting_by_reason{${labels},reason="capacity"} ${waiting}.0`,
    '# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.',
    '# TYPE vllm:time_to_first_token_seconds histogram',
    ...BUCKETS.map((le) => `vllm:time_to_first_token_seconds_bucket{${labels},le="${le}"} 7.0`),
    `vllm:time_to_first_token_seconds_count{${labels}} 7.0`,
    `vllm:time_to_first_token_seconds_sum{${labels}} 0.5`,
    '',
  ].join('\n')
}

/** Numbers have a fraction, as Python writes floats. */
function gauge(name: string, help: string, labels: string, value: number): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name}{${labels}} ${value}.0`]
}
