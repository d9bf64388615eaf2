/** The gauges by which one kind of engine tells its load. */
export interface MetricNames {
  readonly running: string
  readonly waiting: string
  /** The gauges may keep their values for that long, seconds. */
  readonly keptSeconds?: number
}

/** SGLang sets its gauges at each prefill and each 40th step of decoding; once it is idle, only every 30 seconds. */
const SGLANG_KEPT_SECONDS = 30

/** The first row of which an answer has a name tells the load. Names match as a whole: `…_by_reason` and `…_total` are others. */
export const METRIC_NAMES: readonly MetricNames[] = [
  // vLLM: a series for each engine of a data-parallel server (`engine`), printed from the start.
  { running: 'vllm:num_requests_running', waiting: 'vllm:num_requests_waiting' },
  // SGLang with `--enable-metrics`; some versions, and those that collect for several servers, write an underscore.
  { running: 'sglang:num_running_reqs', waiting: 'sglang:num_queue_reqs', keptSeconds: SGLANG_KEPT_SECONDS },
  { running: 'sglang_num_running_reqs', waiting: 'sglang_num_queue_reqs', keptSeconds: SGLANG_KEPT_SECONDS },
  // llama.cpp with `--metrics`: without labels.
  { running: 'llamacpp:requests_processing', waiting: 'llamacpp:requests_deferred' },
  // TGI: without labels; a gauge is printed once it was set, so not before the first request.
  { running: 'tgi_batch_current_size', waiting: 'tgi_queue_size' },
]
