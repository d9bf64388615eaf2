import type { Steps } from '../../base/turns.ts'
import type { EngineCounts } from './engineLoad.ts'
import { METRIC_NAMES, type MetricNames } from './metricNames.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
/** Longest rest of a line that is read, bytes. */
const MAX_LINE_BYTES = 4096
/** Series of one metric that are summed; no engine has as many. */
const MAX_SERIES = 1024
/** Most requests that are believed of one series. */
const MAX_REQUESTS = 1_000_000
/** Occurrences of a name between two checks of the clock. */
const OCCURRENCES_PER_STEP = 256

/** What follows a name: labels in braces, or none, then the value. A time stamp may follow. */
const AFTER_NAME = /^(?=[ \t{])[ \t]*(\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\})?[ \t]*([^ \t\r]+)/
const LABEL = /([A-Za-z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"/g

/**
 * Reads an engine's load from its `/metrics`, in Prometheus' text format. Searches for the few names of `METRIC_NAMES` rather than
 * reading line by line: vLLM writes 100 kB of histograms.
 *
 * Returns undefined where no engine is known by these names, or its numbers make no sense.
 */
export function* engineCountSteps(text: Buffer): Steps<EngineCounts | undefined> {
  for (const names of METRIC_NAMES) {
    const running = yield* sumSteps(text, names.running)
    const waiting = yield* sumSteps(text, names.waiting)
    // An engine may print a gauge only once it was set.
    if (running !== undefined || waiting !== undefined) return countsOf(names, running ?? 0, waiting ?? 0)
    yield
  }
  return undefined
}

function countsOf({ keptSeconds }: MetricNames, running: number, waiting: number): EngineCounts | undefined {
  if (Number.isNaN(running + waiting)) return undefined
  return { running, waiting, ...(keptSeconds !== undefined && { keptSeconds }) }
}

/** The sum of a metric over its series; undefined where it is not printed, NaN where it has no readable value. */
function* sumSteps(text: Buffer, name: string): Steps<number | undefined> {
  const sought = Buffer.from(name)
  const series = new Map<string, number>()
  let isPrinted = false
  let occurrences = 0
  for (let at = text.indexOf(sought); at !== -1; at = text.indexOf(sought, at + sought.length)) {
    if (++occurrences % OCCURRENCES_PER_STEP === 0) yield
    // Comments name it, too.
    if (at > 0 && text[at - 1] !== LINE_FEED && text[at - 1] !== CARRIAGE_RETURN) continue
    const sample = AFTER_NAME.exec(restOfLine(text, at + sought.length))
    if (!sample) continue
    isPrinted = true
    const [, labels = '', number = ''] = sample
    const value = Number(number)
    const key = seriesOf(labels)
    if (key === undefined || !(Number.isInteger(value) && value >= 0 && value <= MAX_REQUESTS)) continue
    series.set(key, Math.max(value, series.get(key) ?? 0))
    if (series.size > MAX_SERIES) return NaN
  }
  if (!isPrinted) return undefined
  return series.size === 0 ? NaN : [...series.values()].reduce((sum, value) => sum + value)
}

function restOfLine(text: Buffer, start: number): string {
  const end = text.subarray(start, start + MAX_LINE_BYTES).indexOf(LINE_FEED)
  return text.toString('latin1', start, end === -1 ? start + MAX_LINE_BYTES : start + end)
}

/**
 * Which requests a series counts; series of the same requests have the same text. SGLang may print one for each GPU of a
 * group (`tp_rank`, `pp_rank`, `moe_ep_rank`), all with the same number; only those of different `dp_rank` are other requests.
 * It also prints parts by `priority` beside the whole, whose `priority` is empty: undefined for such a part.
 */
function seriesOf(labels: string): string | undefined {
  const kept: string[] = []
  for (const [text, name = '', value] of labels.matchAll(LABEL)) {
    if (name === 'priority') {
      if (value !== '') return undefined
    } else if (name === 'dp_rank' || !name.endsWith('_rank')) kept.push(text)
  }
  return kept.sort().join()
}
