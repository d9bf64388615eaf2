/** Small charts of the last 15 minutes, without axes: a line for what is measured, bars for what is counted. */

import { byId } from './format.ts'

/** Values by period, the oldest first; null where there is none. */
export interface Chart {
  readonly kind: 'line' | 'bars'
  readonly values: readonly (number | null)[]
  /** What the bottom stands for; default: 0. */
  readonly bottom?: number
  /** What the top stands for; default: the largest value. */
  readonly top?: number
  /** The same in words, for those who do not see it. */
  readonly label: string
}

const HEIGHT = 24

export function newSparkline(): SVGSVGElement {
  const template = byId<HTMLTemplateElement>('sparkline')
  return template.content.firstElementChild!.cloneNode(true) as SVGSVGElement
}

export function drawSparkline(svg: SVGSVGElement, chart: Chart): void {
  const { values, kind, label } = chart
  setAttribute(svg, 'viewBox', '0 0 ' + values.length + ' ' + HEIGHT)
  setAttribute(svg, 'aria-label', label)
  const [area, stroke] = svg.children
  const shapes = kind === 'bars' ? { area: barsOf(chart), stroke: '' } : linesOf(chart)
  if (area) {
    setAttribute(area, 'd', shapes.area)
    setAttribute(area, 'class', kind === 'bars' ? 'area bars' : 'area')
  }
  if (stroke) setAttribute(stroke, 'd', shapes.stroke)
}

function setAttribute(target: Element, name: string, value: string): void {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value)
}

function heightsOf({ values, bottom = 0, top }: Chart): (number | null)[] {
  const highest = top ?? Math.max(bottom, ...values.map((value) => value ?? 0))
  const scale = highest > bottom ? (HEIGHT - 2) / (highest - bottom) : 0
  return values.map((value) => (value === null ? null : Math.max(0, value - bottom) * scale))
}

/** A bar is seen, however small its value is beside the others. */
function barsOf(chart: Chart): string {
  return heightsOf(chart)
    .map((height, x) =>
      height ? 'M' + x + ' ' + HEIGHT + 'v-' + round(Math.max(2, height)) + 'h.8V' + HEIGHT + 'z' : '',
    )
    .join('')
}

/** One line for each stretch without gaps. */
function linesOf(chart: Chart): { area: string; stroke: string } {
  let [area, stroke] = ['', '']
  let from: number | undefined
  heightsOf(chart).forEach((height, x, all) => {
    if (height === null) return
    const y = round(HEIGHT - 1 - height)
    from ??= x
    stroke += (from === x ? 'M' + x + ' ' + y : '') + 'L' + (x + 1) + ' ' + y
    area += (from === x ? 'M' + x + ' ' + HEIGHT + 'V' + y : '') + 'L' + (x + 1) + ' ' + y
    if (all[x + 1] !== null && all[x + 1] !== undefined) return
    area += 'V' + HEIGHT + 'z'
    from = undefined
  })
  return { area, stroke }
}

const round = (value: number): number => Math.round(value * 10) / 10
