/** Numbers, times and elements, as the rest of the page's script uses them. */

/** The element of the page with this id. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  return document.getElementById(id) as E
}

/** An element with text in it; lists of elements go in as they are. Names from outside become text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className: string,
  content: string | readonly (string | Node)[],
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name)
  if (className) made.className = className
  if (typeof content === 'string') made.textContent = content
  else made.append(...content)
  return made
}

/** Sets a text only where it differs, so that screen readers speak of changes alone. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text
}

const shown = new WeakMap<HTMLElement, string>()

/** Makes the content of an element anew only where its value has changed, so that focus and selection stay. */
export function refresh<T>(target: HTMLElement, value: readonly T[], make: (one: T) => Node): void {
  const signature = JSON.stringify(value)
  if (shown.get(target) === signature) return
  shown.set(target, signature)
  target.replaceChildren(...value.map(make))
}

// Made once: making them is what costs when a large fleet is shown.
const wholeNumbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 })
const threeDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 })
const atMostOneDecimal = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
const fewDecimals = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 })
const millions = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 })

export const count = (value: number): string => wholeNumbers.format(value)
/** Three digits, but no figure before the decimal point is lost. */
export const significant = (value: number): string =>
  Math.abs(value) >= 100 ? wholeNumbers.format(value) : threeDigits.format(value)
/** For what is about as large as a count of jobs. */
export const oneDecimal = (value: number): string => (value < 10 ? atMostOneDecimal.format(value) : count(value))
/** A count that may be very large, such as that of tokens. */
export const roughCount = (value: number): string => (value < 100_000 ? count(value) : millions.format(value))
export const clock = (time: string | number): string => new Date(time).toLocaleTimeString()
export const plural = (value: number, one: string, many: string): string =>
  count(value) + ' ' + (value === 1 ? one : many)

/** Rounded down: what is not quite all is never shown as 100 %. */
export function percent(share: number): string {
  const digits = share < 0.99 ? 1 : 2
  return fewDecimals.format(Math.floor(share * 100 * 10 ** digits) / 10 ** digits) + ' %'
}

/** A share of the whole, or a dash where none is known. */
export const shareOrDash = (share: number | null | undefined): string =>
  share === null || share === undefined ? '–' : percent(share)
/** A time, or a dash where none is known. */
export const timeOrDash = (seconds: number | null | undefined): string =>
  seconds === null || seconds === undefined ? '–' : duration(seconds)

export function duration(seconds: number): string {
  if (seconds === 0) return '–'
  return seconds < 1 ? significant(seconds * 1000) + ' ms' : significant(seconds) + ' s'
}

const SECOND = ['second', 1, 's'] as const
const UNITS = [['day', 86400, 'd'], ['hour', 3600, 'h'], ['minute', 60, 'min'], SECOND] as const

export function longDuration(seconds: number): string {
  const [name, size] = UNITS.find((unit) => seconds >= unit[1]) ?? SECOND
  return plural(Math.floor(seconds / size), name, name + 's')
}

/** How far the clock of the gateway is ahead of that of the browser, ms. */
let aheadMs = 0

/** Takes the time by the gateway's clock, so that another one here does not make ages wrong. */
export function setGatewayTime(time: string): void {
  const told = Date.parse(time)
  if (Number.isFinite(told)) aheadMs = told - Date.now()
}

/** How long ago that was, in short: `3 min`. */
export function age(time: string): string {
  const seconds = Math.max(0, (Date.now() + aheadMs - Date.parse(time)) / 1000)
  const [, size, sign] = UNITS.find((unit) => seconds >= unit[1]) ?? SECOND
  return count(Math.floor(seconds / size)) + ' ' + sign
}

export function bytes(value: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10))
  return significant(value / 1024 ** power) + ' ' + units[power]
}
