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
const wholeNumbers = new Intl.NumberFormat()
const threeDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 })

export const count = (value: number): string => wholeNumbers.format(value)
export const significant = (value: number): string => threeDigits.format(value)
export const clock = (time: string | number): string => new Date(time).toLocaleTimeString()
const plural = (value: number, one: string, many: string): string => count(value) + ' ' + (value === 1 ? one : many)

export function duration(seconds: number): string {
  if (seconds === 0) return '–'
  return seconds < 1 ? significant(seconds * 1000) + ' ms' : significant(seconds) + ' s'
}

export function longDuration(seconds: number): string {
  const second = ['second', 1] as const
  const units = [['day', 86400], ['hour', 3600], ['minute', 60], second] as const
  const [name, size] = units.find((unit) => seconds >= unit[1]) ?? second
  return plural(Math.floor(seconds / size), name, name + 's')
}

export function bytes(value: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10))
  return significant(value / 1024 ** power) + ' ' + units[power]
}
